package differential

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

const patience = 30 * time.Second

// migrated runs Postrider with what migrate makes of a Postfix's configuration, and returns its address.
func migrated(t *testing.T, p *postfix.Postfix) (address string, log func() string) {
	t.Helper()
	dir := t.TempDir()
	out := filepath.Join(dir, "config")
	said := system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"migrate", "postfix", "--from", p.Dir, "--output", out, "--keep-mailboxes"}, AnyCode: true})
	if said.Code != 0 && said.Code != 78 {
		t.Fatalf("migrate: exit code %d\n%s", said.Code, said.All())
	}
	port := postfix.FreePort(t)
	address = "127.0.0.1:" + port
	args := []string{"serve", "--config", filepath.Join(out, "postrider.toml")}
	for _, set := range []string{fmt.Sprintf("data_dir=%q", filepath.Join(dir, "data")), fmt.Sprintf("run_dir=%q", filepath.Join(dir, "run")),
		fmt.Sprintf("listeners.smtp.addresses=[%q]", address), "access.smtpd_peername_lookup=false", `edges.smtpd_authorized_xclient_hosts=["127.0.0.1"]`,
		`limits.disk_reserve="0B"`, `dns.resolvers=["127.0.0.1:1"]`, "sendmail.enabled=false", `metrics.listen=[]`} {
		args = append(args, "--set", set)
	}
	for _, l := range []string{"submission", "submissions", "imap", "imaps", "pop3", "pop3s", "http", "https"} {
		args = append(args, "--set", "listeners."+l+".enabled=false")
	}
	file, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	log = func() string { b, _ := os.ReadFile(file.Name()); return string(b) }
	cmd := exec.Command(system.Binary(t), args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = file, file, system.Environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-gone
		_ = file.Close()
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(out, "postrider.toml"))
			t.Logf("the configuration:\n%s\nthe report:\n%s", text, said.All())
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return address, log
		}
		select {
		case <-gone:
			t.Fatalf("it does not start:\n%s", log())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("it does not listen: %v\n%s", err, log())
		}
	}
}

// answer is what a server said to a dialogue: the last line of each reply, by command.
type answer struct {
	commands, replies []string
}

// talk has a dialogue with a server, as d's client; token marks the message.
func talk(t *testing.T, address string, d dialogue, token string) (a answer) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(c)
	reply := func() string {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return "closed: " + err.Error()
			}
			if len(line) < 4 || line[3] != '-' {
				return strings.TrimSpace(line)
			}
		}
	}
	say := func(command string) string {
		fmt.Fprintf(c, "%s\r\n", command)
		answer := reply()
		a.commands, a.replies = append(a.commands, command), append(a.replies, answer)
		return answer
	}
	reply()
	fmt.Fprintf(c, "EHLO test\r\n")
	reply()
	if got := say("XCLIENT NAME=" + d.name + " ADDR=" + d.addr + " PROTO=ESMTP"); !strings.HasPrefix(got, "220") {
		return a
	}
	if got := say("EHLO " + d.helo); !strings.HasPrefix(got, "250") {
		return a
	}
	if got := say("MAIL FROM:<" + d.from + ">"); !strings.HasPrefix(got, "250") {
		return a
	}
	accepted := false
	for _, to := range d.to {
		accepted = strings.HasPrefix(say("RCPT TO:<"+to+">"), "250") || accepted
	}
	if accepted && strings.HasPrefix(say("DATA"), "354") {
		a.commands[len(a.commands)-1] += " and the message"
		fmt.Fprintf(c, "From: <x@far.example>\r\nTo: <y@box.example>\r\nSubject: token-%s-end\r\n\r\ntext\r\n.\r\n", token)
		a.replies[len(a.replies)-1] = reply()
	}
	fmt.Fprintf(c, "QUIT\r\n")
	return a
}

// class is the digit that tells success, failure for now, failure for good.
func class(reply string) string { return reply[:1] }

// settle waits until nothing has arrived for a while.
func settle(s *sinks) {
	last, since := -1, time.Now()
	for end := time.Now().Add(patience); time.Now().Before(end) && time.Since(since) < 3*time.Second; time.Sleep(20 * time.Millisecond) {
		if n := s.count(); n != last {
			last, since = n, time.Now()
		}
	}
}

// TestDialogues has some sites, and some dozens of dialogues with each.
func TestDialogues(t *testing.T) {
	needs.Program(t, "postfix")
	const perSite = 60
	sites, agreed, explained := 6, 0, map[string]int{}
	for n := range sites {
		t.Run(fmt.Sprint("site", n), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(n), 5))
			s := newSinks(t)
			site := newSite(r, s.ports)
			p := postfix.Start(t, postfix.Config{Main: site.main, Files: site.files})
			address, _ := migrated(t, p)
			type pending struct {
				d            dialogue
				ours, theirs string
			}
			var waiting []pending
			for i := range perSite {
				d := newDialogue(r)
				a, b := fmt.Sprintf("s%d-%d-a", n, i), fmt.Sprintf("s%d-%d-b", n, i)
				ours, theirs := talk(t, address, d, a), talk(t, p.Address, d, b)
				if n := firstDifference(ours, theirs); n >= 0 {
					if why := reasonFor(at(ours.commands, n), d); why != "" {
						explained[why]++
						continue
					}
					t.Errorf("client %s (%s), HELO %s, MAIL FROM:<%s>\n    %s\n    ours:   %s\n    theirs: %s", d.addr, d.name, d.helo, d.from, at(ours.commands, n), at(ours.replies, n), at(theirs.replies, n))
					continue
				}
				agreed++
				if last := ours.commands[len(ours.commands)-1]; strings.HasSuffix(last, "and the message") {
					waiting = append(waiting, pending{d, a, b})
				}
			}
			settle(s)
			for _, w := range waiting {
				if ours, theirs := endings(explained, w.d, s.of(w.ours)), endings(explained, w.d, s.of(w.theirs)); !slices.Equal(ours, theirs) {
					t.Errorf("from <%s> to %q ends\nours:   %q\ntheirs: %q", w.d.from, w.d.to, ours, theirs)
				}
			}
		})
	}
	t.Logf("%d dialogues at %d sites: %d agree; differences with a reason: %v", sites*perSite, sites, agreed, explained)
}

// at is the n-th of a list, if it goes so far.
func at(list []string, n int) string {
	if n < len(list) {
		return list[n]
	}
	return "(nothing any more)"
}

// firstDifference is the place of the first command whose replies are of different classes, or -1.
func firstDifference(a, b answer) int {
	for i := range min(len(a.replies), len(b.replies)) {
		if class(a.replies[i]) != class(b.replies[i]) {
			return i
		}
	}
	if len(a.replies) != len(b.replies) {
		return min(len(a.replies), len(b.replies))
	}
	return -1
}
