package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// benchEnv names the variable with the path of mailbench as TestMain has built it.
const benchEnv = "MAILBENCH_BIN"

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	os.Exit(withPrograms(m))
}

func withPrograms(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mailbench-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "mailbench")
	c := exec.Command("go", "build", "-o", bin, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	os.Setenv(benchEnv, bin)
	return system.Main(m)
}

// real is a running system, and mailbench beside it.
type real struct {
	*system.System
	password string // a file
}

func startReal(t *testing.T, o system.Options) *real {
	t.Helper()
	needs.Quick(t, "builds and starts the whole server")
	s := &real{System: system.Start(t, o), password: filepath.Join(t.TempDir(), "password")}
	if err := os.WriteFile(s.password, []byte(s.Alice.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// bench runs mailbench with its output in a pipe and decodes its JSON. Nothing may be on standard error: progress is for
// terminals.
func (s *real) bench(t *testing.T, args ...string) map[string]any {
	t.Helper()
	r := system.Run(t, system.Command{Name: os.Getenv(benchEnv), Args: append(args, "--json", "--server-pid", fmt.Sprint(s.Pid()))})
	if r.Stderr != "" {
		t.Errorf("%q: %q on standard error", args, r.Stderr)
	}
	var result map[string]any
	if err := json.Unmarshal([]byte(r.Stdout), &result); err != nil {
		t.Fatalf("%q: %v in %q", args, err, r.Stdout)
	}
	if server, _ := result["server"].(map[string]any); server == nil || server["memory_peak_bytes"].(float64) < 1<<20 {
		if source, _ := result["source"].(map[string]any); source["server"] == nil {
			t.Errorf("%q: no figures of the server: %v", args, result)
		}
	}
	return result
}

func (s *real) account(service string) []string {
	return []string{"--user", s.Alice.Address, "--password-file", s.password, "--addr", s.local(service), "--tls", "--ca", s.CA}
}

// local is a listener under the name that the certificate has.
func (s *real) local(service string) string {
	return strings.Replace(s.Listeners[service], "127.0.0.1", "localhost", 1)
}

func want(t *testing.T, result map[string]any, counts map[string]float64) {
	t.Helper()
	for name, n := range counts {
		if result[name] != n {
			t.Errorf("%s: %v, want %v, of %v", name, result[name], n, result)
		}
	}
}

func TestMailboxWorkloadsBesideARealServer(t *testing.T) {
	s := startReal(t, system.Options{})
	imap, pop3 := s.account("imaps"), s.account("pop3s")
	want(t, s.bench(t, append([]string{"fill", "--messages", "230", "--size", "2048", "--batch", "40", "--sessions", "2"}, imap...)...),
		map[string]float64{"messages": 230, "mailbox_messages": 230, "quokka_in_subject": 3, "axolotl_in_text": 2})
	want(t, s.bench(t, append([]string{"fill", "--messages", "20", "--lmtp", s.Listeners["lmtp"]}, imap...)...),
		map[string]float64{"messages": 20, "mailbox_messages": 250})
	for _, c := range []struct {
		workload string
		more     []string
		messages float64 // of three operations
	}{
		{"login", nil, 0},
		{"select", nil, 750},
		{"fetch-flags", nil, 750},
		{"fetch-envelope", nil, 750},
		{"fetch-structure", nil, 750},
		{"fetch-bodies", []string{"--batch", "100", "--sessions", "2"}, 300},
		{"search-unseen", nil, 3 * (23 + 20)}, // LMTP sets no flags
		{"search-subject", []string{"--expect", "4"}, 12},
		{"search-text", []string{"--expect", "2"}, 6},
		{"store", []string{"--sessions", "3", "--batch", "10"}, 30},
		{"append", []string{"--batch", "4", "--sessions", "2"}, 12},
		{"copy", []string{"--batch", "50"}, 150},
	} {
		r := s.bench(t, append(append([]string{"imap", c.workload, "--operations", "3"}, imap...), c.more...)...)
		want(t, r, map[string]float64{"operations": 3, "messages": c.messages})
		if l := r["latency"].(map[string]any); l["p50_ms"].(float64) <= 0 || l["p99_ms"].(float64) < l["p50_ms"].(float64) {
			t.Errorf("%s: %v", c.workload, l)
		}
	}
	if n := system.Count(t, s.IMAP(t, s.Alice), "INBOX"); n != 250 {
		t.Errorf("INBOX has %d messages afterwards", n)
	}
	want(t, s.bench(t, append([]string{"pop3", "login", "--operations", "2"}, pop3...)...), map[string]float64{"operations": 2})
	want(t, s.bench(t, append([]string{"pop3", "list", "--operations", "2"}, pop3...)...), map[string]float64{"messages": 500})
	want(t, s.bench(t, append([]string{"pop3", "retr", "--operations", "2", "--batch", "60"}, pop3...)...), map[string]float64{"messages": 120})
	r := s.bench(t, append([]string{"idle", "--connections", "12", "--seconds", "0.1", "--notify"}, imap...)...)
	want(t, r, map[string]float64{"connections": 12})
	want(t, s.bench(t, append([]string{"idle", "pop3", "--connections", "1", "--sources", "1", "--seconds", "0.1"}, pop3...)...), map[string]float64{"connections": 1})
	for _, c := range [][]string{
		{"smtp", "--addr", s.local("smtp"), "--starttls", "--ca", s.CA, "--connections", "150", "--sources", "3"}, // more than one address may have
		{"pop3", "--addr", s.local("pop3s"), "--tls", "--ca", s.CA, "--connections", "20", "--sources", "20"},
	} {
		r := s.bench(t, append([]string{"idle", "--seconds", "0.1"}, c...)...)
		if r["held_seconds"] != 0.1 || r["resident_while_idle_bytes"].(float64) < r["memory_while_idle_bytes"].(float64) {
			t.Errorf("%q: %v", c, r)
		}
	}
	if r["append_to_notice"] == nil || r["memory_while_idle_bytes"].(float64) < 1<<20 {
		t.Errorf("%v", r)
	}
}

func TestSendingBesideARealServer(t *testing.T) {
	s := startReal(t, system.Options{})
	auth := []string{"--auth", s.Alice.Address, "--password-file", s.password, "--from", s.Alice.Address, "--ca", s.CA}
	both := []string{"--rcpt", s.Alice.Address, "--rcpt", s.Bob.Address, "--rcpt-per-message", "2", "--messages", "12", "--sessions", "3"}
	for _, args := range [][]string{
		{"smtp", "--addr", s.Listeners["smtp"], "--size", "1000,80000"},
		append([]string{"smtp", "--addr", s.local("submissions"), "--tls"}, auth...),
		append([]string{"smtp", "--addr", s.local("submission"), "--starttls"}, auth...),
		{"lmtp", "--addr", s.Listeners["lmtp"]},
		{"lmtp", "--addr", s.Listeners["lmtp"], "--no-pipelining", "--messages-per-connection", "2"},
	} {
		want(t, s.bench(t, append(args, both...)...), map[string]float64{"messages": 12, "recipients": 24, "failed": 0, "uncertain": 0})
	}
	s.Await(t, s.Alice, "INBOX", 60)
	s.Await(t, s.Bob, "INBOX", 60)
}

func TestRelayThroughARealServer(t *testing.T) {
	// A port for our receiver, which must be known before the server starts; on an address of which the server takes none.
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	sink := l.Addr().(*net.TCPAddr)
	l.Close()
	s := startReal(t, system.Options{Set: []string{
		`mta.smart_host.host="[127.0.0.2]"`, fmt.Sprintf("mta.smart_host.port=%d", sink.Port), `mta.smart_host.tls="none"`,
	}})
	r := s.bench(t, "relay", "--addr", s.local("submissions"), "--tls", "--ca", s.CA, "--auth", s.Alice.Address, "--password-file", s.password,
		"--from", s.Alice.Address, "--rcpt", "user%d@far.example", "--rcpt-count", "5", "--rcpt-per-message", "2", "--messages", "20",
		"--sessions", "2", "--sink", sink.String(), "--linger", "0.1s", "--size", "700,70000")
	want(t, r, map[string]float64{"promised": 40, "arrived": 40, "missing": 0, "duplicated": 0, "damaged": 0, "strangers": 0})
}

// What a server refuses ends the run with its words and exit code 70; a wrong word of the caller has 64.
func TestErrorsOfARealServerAreTold(t *testing.T) {
	s := startReal(t, system.Options{})
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("not it\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	imap := s.account("imaps")
	for _, c := range []struct {
		code int
		text string
		args []string
	}{
		{70, "AUTHENTICATIONFAILED", append([]string{"imap", "login", "--operations", "1"}, strings.Split(strings.ReplaceAll(strings.Join(imap, "\n"), s.password, wrong), "\n")...)},
		{70, "has no messages; `mailbench fill` makes some", append([]string{"imap", "fetch-flags"}, imap...)},
		{70, "NONEXISTENT", append([]string{"imap", "fetch-flags", "--mailbox", "nowhere"}, imap...)},
		{70, "certificate", append([]string{"imap", "login", "--operations", "1"}, imap[:len(imap)-2]...)},
		{70, "the server's process 999999999", append([]string{"imap", "login", "--operations", "1", "--server-pid", "999999999"}, imap...)},
		{64, "there are login, select, fetch-flags", append([]string{"imap", "juggle"}, imap...)},
		{64, "each session needs its own user", append([]string{"pop3", "list", "--sessions", "2"}, s.account("pop3s")...)},
	} {
		r := system.Run(t, system.Command{Name: os.Getenv(benchEnv), Args: c.args, Code: c.code})
		if !strings.Contains(r.Stderr, c.text) || strings.Contains(r.Stderr, "not it") {
			t.Errorf("%q: %q", c.args, r.Stderr)
		}
	}
}
