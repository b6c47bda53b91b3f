package system

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/needs"
)

// running starts a server of its own on the real disk.
func running(t *testing.T) (Server, *Process) {
	t.Helper()
	s := Server{Bin: build(t, ""), Dir: filepath.Join(t.TempDir(), "data"), Accounts: accounts}
	return s, started(t, s)
}

func started(t *testing.T, s Server) *Process {
	t.Helper()
	p, err := s.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// sendOne sends a small message to alice.
func sendOne(p *Process, token string) error {
	c, err := DialSMTP(p.Addr["smtp"])
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Send(Mail{Token: token, Size: 2000, To: accounts[:1]})
	return err
}

// owed checks that alice's tokens are each in her mailboxes once and whole; others may be there once.
func owed(t *testing.T, found []Found, tokens []string) {
	t.Helper()
	times := map[string]int{}
	for _, f := range found {
		if f.Err != nil {
			t.Errorf("%s: %v", f.Place, f.Err)
			continue
		}
		if times[f.Token]++; times[f.Token] > 1 {
			t.Errorf("%s is there twice", f.Token)
		}
	}
	for _, token := range tokens {
		if times[token] == 0 {
			t.Errorf("%s was acknowledged and is not there", token)
		}
	}
}

// TestFailingDisk: after a failed sync or an I/O error on a write nothing more is acknowledged, clients are told 421 (SMTP)
// or NO and BYE (IMAP), the server ends with a non-zero code, and the next start has every acknowledged message.
func TestFailingDisk(t *testing.T) {
	needs.Quick(t, "strace")
	needs.Program(t, "strace")
	for _, c := range []struct {
		name, calls, fault string
		pack               bool // it hits the packs: then no 250; else no APPENDUID
	}{
		{"sync of a pack", "fdatasync", "error=EIO", true},
		{"write of a pack", "pwritev,pwritev2", "error=EIO", true},
		{"sync of the database", "fsync", "error=EIO", false},
		{"write of the database", "pwrite64", "error=EIO", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, p := running(t)
			var acked []string
			send := func(token string) error {
				err := sendOne(p, token)
				if err == nil {
					acked = append(acked, token)
				}
				return err
			}
			for i := range 5 {
				if err := send(fmt.Sprintf("before-%d-end", i)); err != nil {
					t.Fatal(err)
				}
			}
			reader, err := DialIMAP(p.Addr["imaps"], "alice")
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			stop, err := Inject(p, c.calls, c.fault)
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			var refused *Refused
			if c.pack {
				err = send("during-the-fault")
				if !errors.As(err, &refused) || !strings.HasPrefix(refused.Reply, "421 4.3.0") {
					t.Errorf("the answer to a message that could not be synced: %v", err)
				}
			} else {
				_, err = reader.Append("INBOX", "", Make("during-the-fault", 1000))
				if err == nil {
					t.Error("APPEND was acknowledged")
				}
				t.Log("answer to APPEND:", err)
			}
			if err := p.Wait(); err == nil {
				t.Error("the server ended with code 0")
			} else {
				t.Log(err)
			}
			found, err := Recover(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			owed(t, found, acked)
		})
	}
}

// TestDeliveryMeetsFailingDisk: the database fails under a delivery that was acknowledged before. The message is not lost.
func TestDeliveryMeetsFailingDisk(t *testing.T) {
	needs.Quick(t, "strace")
	needs.Program(t, "strace")
	s, p := running(t)
	stop, err := Inject(p, "fsync", "error=EIO")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	var acked []string
	for i := range 50 {
		token := fmt.Sprintf("message-%d-end", i)
		if err := sendOne(p, token); err != nil {
			break // it noticed
		}
		acked = append(acked, token)
	}
	if len(acked) == 0 {
		t.Fatal("the pack was durable, and the message not acknowledged")
	}
	if err := p.Wait(); err == nil {
		t.Error("the server ended with code 0")
	}
	found, err := Recover(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	owed(t, found, acked)
	if !slices.ContainsFunc(found, func(f Found) bool { return f.Delivered }) {
		t.Error("nothing was delivered")
	}
}
