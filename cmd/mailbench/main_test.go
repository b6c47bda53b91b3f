package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/postrider/postrider/cmd/mailbench/compare"
	"github.com/postrider/postrider/cmd/mailbench/load"
)

func parse(t *testing.T, args ...string) (*cli, error) {
	t.Helper()
	var c cli
	k, err := kong.New(&c, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(args)
	return &c, err
}

func TestFlagsBecomeAConfiguration(t *testing.T) {
	t.Setenv("MAILBENCH_PASSWORD", "secret")
	c, err := parse(t, "smtp", "--addr", "mx.example.org:465", "--tls", "--auth", "alice", "--sessions", "3", "--seconds", "2.5",
		"--rcpt", "user%d@example.org", "--rcpt-count", "2", "--size", "4096", "--messages-per-connection", "7")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := c.SMTP.config(c.SMTP.Addr, false)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Duration != 2500*time.Millisecond || cfg.Sessions != 3 || cfg.Sizes[0] != 4096 || cfg.PerConnection != 7 ||
		!cfg.ImplicitTLS || cfg.Password != "secret" || cfg.TLS.ServerName != "mx.example.org" ||
		strings.Join(cfg.Recipients, " ") != "user1@example.org user2@example.org" {
		t.Errorf("%+v", cfg)
	}
}

func TestANumberOfMessagesReplacesTheTime(t *testing.T) {
	c, err := parse(t, "smtp", "--messages", "20")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := c.SMTP.config(c.SMTP.Addr, false)
	if err != nil || cfg.Duration != 0 || cfg.Messages != 20 {
		t.Errorf("%v %+v", err, cfg)
	}
}

func TestWrongWordsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"smtp", "--seconds", "soon"}, {"smtp", "--tls", "--starttls"}, {"smtp", "--seconds", "-1"}, {"smpt"},
	} {
		if _, err := parse(t, args...); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	c, err := parse(t, "smtp", "--auth", "alice")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("MAILBENCH_PASSWORD", "")
	if _, err := c.SMTP.config(c.SMTP.Addr, false); err == nil || !strings.Contains(err.Error(), "--password-file") {
		t.Errorf("no password: %v", err)
	}
	for addr, good := range map[string]bool{"mx.example.org:25": true, "[::1]:25": true, "/run/lmtp": true, "mx.example.org": false, "mx.example.org:": false} {
		if _, err := (&tlsFlags{}).config(addr); (err == nil) != good {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if _, err := (&compareCmd{Systems: []string{"sendmail"}}).systems(t.TempDir()); err == nil {
		t.Error("an unknown system was taken")
	}
}

func TestCommandLineMakesTheReportAnew(t *testing.T) {
	c, err := parse(t, "compare", "--systems", "postrider,mdbox", "--sessions", "1,10", "--set", "a.b=1")
	if err != nil {
		t.Fatal(err)
	}
	want := "mailbench compare --systems postrider,mdbox --sessions 1,10 --seconds 10 --pairs 3 --size 10240 --users 40 --retries 2 --traced 100 " +
		"--mailbox 30000 --read-time 2 --crowd 1000 --big-size 52428800 --big-count 16 --set 'a.b=1'"
	c.Compare.form()
	if got := c.Compare.commandLine(); got != want {
		t.Errorf("%s", got)
	}
	again, err := parse(t, append(strings.Fields(strings.ReplaceAll(want, "'", ""))[1:], "--quick")...)
	if err != nil {
		t.Fatal(err)
	}
	if again.Compare.form(); again.Compare.commandLine() != want {
		t.Errorf("what was given is not what is done: %s", again.Compare.commandLine())
	}
	if c, err = parse(t, "compare", "--quick", "--traced", "0", "--crowd", "7"); err != nil {
		t.Fatal(err)
	}
	c.Compare.form()
	if got := c.Compare.commandLine(); !strings.Contains(got, "--seconds 2 --pairs 1 ") || !strings.Contains(got, "--traced 0 --mailbox 2000 --read-time 0.5 --crowd 7 ") {
		t.Errorf("%s", got)
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	for _, live := range []bool{true, false} {
		var b strings.Builder
		show := &terminal{w: &b, live: live, what: "deliveries"}
		show.load(load.Snapshot{Elapsed: 2 * time.Second, Messages: 3000, Behind: 12, Failed: 4, P50: time.Millisecond, P99: 2 * time.Millisecond})
		show.load(load.Snapshot{Elapsed: time.Second, Messages: 3, Of: 5000, Memory: 3 << 20})
		show.clear()
		want := ""
		if live {
			want = "\r\x1b[K  2.0 s  3,000 deliveries  1500/s  p50 1.0 ms  p99 2.0 ms  12 on their way  4 failed" +
				"\r\x1b[K  1.0 s  3 of 5,000 deliveries  3/s  p50 0.0 ms  p99 0.0 ms  server 3.0 MiB\r\x1b[K"
		}
		if b.String() != want {
			t.Errorf("live %v: %q", live, b.String())
		}
	}
}

func TestReportIsWrittenWithItsPlots(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures.md")
	out := &compare.Outcome{Systems: []string{"Postrider"}, Sessions: []int{1}}
	if err := (&compareCmd{Write: file}).report(out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, plot := range []string{"figures-rate.svg", "figures-latency.svg"} {
		svg, err := os.ReadFile(filepath.Join(filepath.Dir(file), plot))
		if err != nil || !strings.HasPrefix(string(svg), "<svg ") || !strings.Contains(string(text), "]("+plot+")") {
			t.Errorf("%s: %v", plot, err)
		}
	}
}

func TestResultIsReadable(t *testing.T) {
	var b strings.Builder
	err := printSent(&b, load.Result{Protocol: "smtp", Sessions: 2, Messages: 12345, Seconds: 10, Rate: 1234.5, Failed: 3,
		Errors: map[string]int64{"452 full": 1, "550 nobody": 2}})
	if err != nil {
		t.Fatal(err)
	}
	out := b.String()
	if !strings.Contains(out, "12,345 in 10.00 s, 1234.5/s (SMTP, 2 sessions") || strings.Index(out, "550 nobody") > strings.Index(out, "452 full") {
		t.Error(out)
	}
}
