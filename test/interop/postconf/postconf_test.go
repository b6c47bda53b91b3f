// Package postconf gives the same command lines to Debian's postconf and postfix and to ours of those names, and compares what
// they print and return.
package postconf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	peer "github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// side is a pair of programs with their configuration.
type side struct {
	dir, config, bin string
}

// run returns what a command printed, standard output and errors, and its exit code.
func (s *side) run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, name), append([]string{"-c", s.dir}, args...)...)
	cmd.Args[0], cmd.Env = name, system.Environment()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s%s[exit %d]", out.String(), errs.String(), cmd.ProcessState.ExitCode())
}

func ours(t testing.TB, conf string) *side {
	dir := t.TempDir()
	s := &side{dir: filepath.Join(dir, "etc"), bin: filepath.Join(dir, "bin")}
	s.config = filepath.Join(s.dir, "postrider.toml")
	must(t, os.Mkdir(s.dir, 0o755), os.Mkdir(s.bin, 0o755), os.WriteFile(s.config, []byte(strings.ReplaceAll(conf, "DIR", dir)), 0o644))
	for _, name := range []string{"postconf", "postfix"} {
		must(t, os.Symlink(system.Binary(t), filepath.Join(s.bin, name)))
	}
	return s
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

const conf = `# Of ours.
hostname = "mx.here.example" # the name

[smtp]
max_received = 60
[listeners]
smtp.addresses = ["127.0.0.1:0"]
submission.enabled = false
submissions.enabled = false
imap.enabled = false
imaps.enabled = false
pop3.enabled = false
pop3s.enabled = false
`

func TestSamePostconf(t *testing.T) {
	t.Parallel() // most of it is waiting for Postfix
	theirs := &side{dir: t.TempDir(), bin: filepath.Dir(needs.Program(t, "postconf"))}
	theirs.config = filepath.Join(theirs.dir, "main.cf")
	peer.WriteFile(t, theirs.config, "# Of theirs.\nmyhostname = mx.here.example\nhopcount_limit = 60\n")
	peer.WriteFile(t, filepath.Join(theirs.dir, "master.cf"), "")
	own := ours(t, conf)
	for _, args := range [][]string{
		{"myhostname", "hopcount_limit"}, {"-h", "myhostname"}, {"-H", "myhostname", "hopcount_limit"}, {"nosuch"}, {"-n", "nosuch", "hopcount_limit"},
		{"-e", "message_size_limit = 20480000", "maximal_queue_lifetime=3d", "recipient_delimiter=+"}, {"message_size_limit", "maximal_queue_lifetime", "recipient_delimiter"},
		{"-e", "relay_domains = $myhostname, other.example"}, {"-x", "relay_domains"}, {"-e", "mynetworks=127.0.0.0/8 [::1]/128 192.0.2.0/24"}, {"mynetworks"},
		{"-e", "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, check_client_access cidr:/nowhere, permit"}, {"smtpd_recipient_restrictions"},
		{"-e", "virtual_alias_expansion_limit=500", "swap_bangpath = yes"}, {"virtual_alias_expansion_limit", "swap_bangpath"},
		{"relayhost=[relay.example]:587"}, {"-h", "relayhost"}, {"-n", "relayhost", "smtp_connect_timeout"},
		{"-e", "smtp_connect_timeout = 45"}, {"-#", "relayhost"}, {"relayhost"}, {"-X", "message_size_limit"}, {"-n", "message_size_limit"},
		{"-e", "foo"}, {"-e", "relayhost=a\nb"}, {"-e"}, {"-X"}, {"-#"}, {"-n", "-d"}, {"-e", "relay_domains="}, {"relay_domains"},
	} {
		// Files that look old: Postfix's programs wait until one that has just changed is two seconds old.
		old := time.Now().Add(-time.Hour)
		must(t, os.Chtimes(theirs.config, old, old))
		a, b := theirs.run(t, "postconf", args...), own.run(t, "postconf", args...)
		if a != b {
			t.Errorf("postconf %q:\n%s\nours:\n%s", args, a, b)
		}
	}
	text, err := os.ReadFile(own.config)
	if want := "# Of ours.\nhostname = \"mx.here.example\" # the name\n\n[smtp]\nmax_received = 60\n"; err != nil || !strings.HasPrefix(string(text), want) {
		t.Errorf("%v\n%s", err, text)
	}
	before := string(text)
	for _, args := range [][]string{{"-e", "hopcount_limit=50", "message_size_limit=1"}, {"-e", "hopcount_limit=50", "nosuch=1"}, {"-e", "hopcount_limit=many"},
		{"-e", "smtp_pix_workarounds=none"}, {"-e", "myhostname=$nosuch"}} {
		if out := own.run(t, "postconf", args...); !strings.HasSuffix(out, "[exit 1]") || !strings.HasPrefix(out, "postconf: fatal: ") {
			t.Errorf("postconf %q: %s", args, out)
		}
	}
	if text, err = os.ReadFile(own.config); err != nil || string(text) != before {
		t.Errorf("a change that was refused is there: %v\n%s", err, text)
	}
}

func TestSamePostfix(t *testing.T) {
	t.Parallel() // most of it is waiting for Postfix
	p := peer.Start(t, peer.Config{})
	p.Control(t, "postfix", "stop")
	theirs, own := &side{dir: p.Dir, bin: filepath.Dir(needs.Program(t, "postfix"))}, ours(t, "data_dir = \"DIR/data\"\n"+conf)
	defer own.run(t, "postfix", "abort")
	number, said := regexp.MustCompile(`PID: \d+`), regexp.MustCompile(`postfix/postfix-script(\[\d+\])?: `)
	// Postfix's script tells its log what it would tell a terminal.
	// What it says as it stops may come when its logger has gone.
	last := []string{"stopping the Postfix mail system\n", "aborting the Postfix mail system\n", "waiting for the Postfix mail system to terminate\n"}
	words := func(text string) (all []string) {
		for line := range strings.Lines(text) {
			if at := said.FindStringIndex(line); at != nil && !slices.Contains(last, line[at[1]:]) {
				all = append(all, number.ReplaceAllString(line[at[1]:], "PID: 1"))
			}
		}
		slices.Sort(all) // its logger may mix them up
		return all
	}
	before, told := len(p.Log()), ""
	code := func(out string) string { return out[strings.LastIndexByte(out, '['):] }
	for _, args := range []string{"status", "stop", "reload", "abort", "flush", "start", "status", "start", "reload", "flush", "check", "stop", "status", "start", "abort", "status"} {
		a, b := theirs.run(t, "postfix", args), own.run(t, "postfix", args)
		if told += b + "\n"; code(a) != code(b) {
			t.Errorf("postfix %s:\n%s\nours:\n%s", args, a, b)
		}
	}
	for _, line := range last[:2] {
		if !strings.Contains(told, line) {
			t.Errorf("ours never says %q:\n%s", line, told)
		}
	}
	want := words(told)
	for end := time.Now().Add(30 * time.Second); len(words(p.Log()[before:])) < len(want) && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
	}
	if got := words(p.Log()[before:]); !slices.Equal(got, want) {
		t.Errorf("Postfix says\n%q\nours\n%q", got, want)
	}
}
