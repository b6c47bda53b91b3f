package screen

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/greylist"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/test/needs"
)

// startPostgrey runs Debian's postgrey with an empty database and no exemptions of its own.
func startPostgrey(t *testing.T, delay time.Duration) net.Conn {
	t.Helper()
	needs.Root(t, "postgrey becomes another user")
	owner, err := user.Lookup("postgrey")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "postgrey") // not t.TempDir, which others than root cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, none := filepath.Join(dir, "socket"), filepath.Join(dir, "none")
	for _, err := range []error{os.WriteFile(none, nil, 0o644), os.Chown(dir, uid, -1), os.Chmod(dir, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(needs.Program(t, "postgrey"), "--unix="+socket, "--dbdir="+dir, fmt.Sprintf("--delay=%d", int(delay.Seconds())),
		"--whitelist-clients="+none, "--whitelist-recipients="+none, "--quiet")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("unix", socket); err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		} else if time.Now().After(end) {
			t.Fatalf("postgrey: %v\n%s", err, out.String())
		}
	}
}

// TestPostgrey: over several rounds, the same triplets are greylisted by postgrey and by us.
func TestPostgrey(t *testing.T) {
	const delay = 3 * time.Second
	conn := startPostgrey(t, delay)
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	in, instance := bufio.NewReader(conn), 0
	ask := func(client, from, to string) (passes bool) {
		instance++
		fmt.Fprintf(conn, "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=%s\nclient_name=unknown\n"+
			"sender=%s\nrecipient=%s\ninstance=%d\n\n", client, from, to, instance)
		action := ""
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\n" {
				return !strings.HasPrefix(action, "DEFER")
			}
			action = strings.TrimPrefix(strings.TrimSpace(line), "action=")
		}
	}
	ours := greylist.New(greylist.Settings{Delay: delay, RetryWindow: 48 * time.Hour, Lifetime: 35 * 24 * time.Hour, AutoAllow: 5, Max: 10000})
	passed, held := 0, 0
	round := func(name string, clients, senders []string) {
		t.Helper()
		for _, client := range clients {
			for _, from := range senders {
				for _, to := range []string{"bob@here.example", "carol@here.example"} {
					sender := address.Address{}
					if local, domain, ok := strings.Cut(from, "@"); ok {
						sender = address.Address{Local: local, Domain: domain}
					}
					theirs := ask(client, from, to)
					v := ours.Check(time.Now(), greylist.Attempt{Client: netip.MustParseAddr(client), Sender: sender,
						Recipient: address.Address{Local: to[:len(to)-len("@here.example")], Domain: "here.example"}}, false)
					if v.Pass != theirs {
						t.Errorf("%s: %s from %s to %s: we say %+v, postgrey passes it: %t", name, client, from, to, v, theirs)
					}
					if v.Pass {
						passed++
					} else {
						held++
					}
				}
			}
		}
	}
	first := []string{"", "alice@sender.example", "list+7@sender.example", "list-100-x@lists.example", "Bounce-5@lists.example"}
	round("new", []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"}, first)
	round("too early", []string{"192.0.2.200", "198.51.100.1"}, first)
	time.Sleep(delay + time.Second) // postgrey has no clock but the system's
	again := []string{"", "alice@sender.example", "list+8@sender.example", "list-101-x@lists.example", "bounce-6@lists.example"}
	round("came again", []string{"192.0.2.7", "2001:db8::ffff:9"}, again)
	round("known", []string{"192.0.2.8", "2001:db8::1"}, first)
	round("other networks", []string{"192.0.3.1", "2001:db8:0:1::1"}, first)
	round("others of known networks", []string{"192.0.2.1"}, []string{"new@sender.example", "alice@other.example"})
	if passed == 0 || held == 0 {
		t.Errorf("%d passed, %d held back: nothing was compared", passed, held)
	}
	t.Logf("%d passed, %d held back by both", passed, held)
}
