// Package peers checks that the systems of cmd/mailbench/peer can be trusted as a measure: that each takes mail by SMTP
// and shows every message in the right INBOX by IMAP and POP3, also after a restart, relays each message once, and that nothing of it is left running. It needs
// root, Postfix and Dovecot (`make peers`), and for Postrider a build of this tree.
package peers

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/peer"
	"github.com/postrider/postrider/cmd/mailbench/work"
	"github.com/postrider/postrider/test/needs"
)

const users = 3

func TestPostfixAndDovecot(t *testing.T) {
	needs.Quick(t, "starts Postfix and Dovecot four times")
	needs.Root(t, "Postfix and Dovecot change to users of their own")
	for _, p := range []string{"postfix", "dovecot", "strace"} {
		needs.Program(t, p)
	}
	for _, f := range []peer.Format{peer.Maildir, peer.Mdbox} {
		t.Run(string(f), func(t *testing.T) {
			delivers(t, peer.NewStack(peer.StackOptions{Dir: folder(t), Users: users, Format: f, NoFlow: f == peer.Mdbox}))
		})
	}
}

func TestPostrider(t *testing.T) {
	needs.Quick(t, "builds and starts Postrider")
	needs.Program(t, "strace")
	program := filepath.Join(t.TempDir(), "postrider")
	build := exec.Command("go", "build", "-o", program, "../../../cmd/postrider")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	delivers(t, peer.NewPostrider(peer.PostriderOptions{Program: program, Dir: folder(t), Users: users}))
}

// folder is short, because sockets stand in it, and open to the systems' own users.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "pb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func delivers(t *testing.T, s peer.System) {
	if m := s.Missing(); len(m) > 0 {
		t.Fatalf("missing: %v", m)
	}
	rcpts, err := load.ExpandRecipients([]string{peer.Users()}, users)
	if err != nil {
		t.Fatal(err)
	}
	for round := int64(1); round <= 2; round++ { // the second finds the mail of the first
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		roots := s.Roots()
		syncs, err := gauge.CountSyncs(t.Context(), t.TempDir(), roots)
		if err != nil {
			t.Error(err)
		}
		res, err := load.Run(t.Context(), load.Config{Addr: s.SMTP(), Sessions: 2, Messages: 4 * users, Sizes: []int{10240}, Recipients: rcpts}, nil)
		if err != nil || res.Messages != 4*users {
			t.Errorf("%v: %d accepted: %v", err, res.Messages, res.Errors)
		}
		for u := 1; u <= users; u++ {
			arrives(t, s.IMAP(), u, 4*round)
		}
		readsByPOP3(t, s.POP3(), 4*round)
		relays(t, s)
		if syncs != nil {
			if calls, err := syncs.Stop(); err != nil || calls["fsync"]+calls["fdatasync"] == 0 {
				t.Errorf("%v: mail was taken without a sync: %v", err, calls)
			}
		}
		family, err := gauge.Descendants(os.Getpid())
		if err != nil {
			t.Error(err)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if left := family.Left(); len(left) > 0 {
			t.Errorf("round %d: still there: %v", round, left)
		}
	}
}

// readsByPOP3 fetches what IMAP counted.
func readsByPOP3(t *testing.T, a peer.Access, want int64) {
	t.Helper()
	res, err := work.Run(t.Context(), work.Options{Protocol: "pop3", Workload: "list", Target: client.Target{Addr: a.Addr, TLS: a.TLS, Implicit: true},
		Users: []work.User{{Name: peer.Address(1), Password: a.Password(1)}}, Sessions: 1, Operations: 1}, nil)
	if err != nil || res.Messages != want {
		t.Errorf("POP3: %v: %d messages, want %d", err, res.Messages, want)
	}
}

// relays sends a few messages through, each of which must come once.
func relays(t *testing.T, s peer.System) {
	t.Helper()
	way := s.Relay()
	l, err := net.Listen("tcp", way.Sink)
	if err != nil {
		t.Fatal(err)
	}
	res, err := work.Relay(t.Context(), work.RelayOptions{Sink: l, Stall: time.Minute, Load: load.Config{Addr: way.Addr, Sessions: 2, Messages: 6,
		Sizes: []int{10240}, From: "bench@mailbench.invalid", Recipients: []string{"user1@" + peer.RelayDomain}}}, nil)
	if err != nil || res.Arrived != 6 {
		t.Errorf("relay: %v: %+v", err, res)
	}
}

// arrives waits until a user's INBOX has as many messages, and fails if it gets more.
func arrives(t *testing.T, a peer.Access, user int, want int64) {
	t.Helper()
	r, err := a.Open(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var n int64
	for range 2000 {
		if n, err = r.Messages(); err != nil {
			t.Fatal(err)
		}
		if n >= want {
			break
		}
	}
	if n != want {
		t.Errorf("user %d has %d messages, want %d", user, n, want)
	}
}
