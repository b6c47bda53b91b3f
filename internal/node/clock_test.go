package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
)

// startAt runs a node whose clock is off by what the returned value says.
func startAt(t *testing.T, dir string, off time.Duration) (n *Node, stop func(), log func() string) {
	t.Helper()
	var mu sync.Mutex
	var out bytes.Buffer
	l, err := obs.New(obs.Options{Out: writerFunc(func(b []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return out.Write(b) }),
		Format: "text", Level: "warn"})
	must(t, err)
	var shift atomic.Int64
	shift.Store(int64(off))
	n, err = Open(t.Context(), Options{Config: testConfig(t, dir), Log: l, Version: "test", Now: func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }})
	must(t, err)
	once := sync.OnceFunc(func() { must(t, n.Stop(context.Background())) })
	t.Cleanup(once)
	must(t, n.Start(t.Context()))
	return n, once, func() string { mu.Lock(); defer mu.Unlock(); return out.String() }
}

// A host without a clock starts in 1970: the server says so, and the certificate that it makes then is good by that clock and
// by the right one. When the clock falls back to 1970 the old certificate still is what clients with a right clock want.
func TestClockOf1970(t *testing.T) {
	handshake := func(n *Node, dir string, now time.Time) error {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, "tls", "ca.pem"))
		must(t, err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		c, err := tls.Dial("tcp", n.Addresses()["imaps"].String(), &tls.Config{RootCAs: roots, ServerName: n.Config().Hostname, Time: func() time.Time { return now }})
		if err == nil {
			must(t, c.Close())
		}
		return err
	}
	back := time.Until(time.Unix(5, 0))
	for _, first := range []time.Duration{back, 0} {
		dir := t.TempDir()
		for _, off := range []time.Duration{first, back - first} {
			n, stop, log := startAt(t, dir, off)
			if said := strings.Contains(log(), "the clock was set back, or is wrong"); said != (off == back) {
				t.Errorf("at %v: %s", n.opt.Now(), log())
			}
			if err := handshake(n, dir, time.Now()); err != nil {
				t.Errorf("a client with the right time: %v", err)
			}
			err := handshake(n, dir, n.opt.Now())
			if wrong := first == 0 && off == back; (err != nil) != wrong || wrong && !strings.Contains(log(), "is not valid before") {
				t.Errorf("a client with the time of the server, %v: %v\n%s", n.opt.Now(), err, log())
			}
			stop()
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// A clock that is set back by more than a year between two starts: the server says so, no id comes twice, UIDVALIDITY and
// modification sequences rise, what waited for its next attempt does not wait a year, and mail goes on.
func TestClockSetBack(t *testing.T) {
	dir := t.TempDir()
	n, stop, log := startAt(t, dir, 0)
	addUser(t, n, "alice", "pw")
	account, err := n.directory.Account(t.Context(), address.Address{Local: "alice", Domain: "here.example"})
	must(t, err)
	project := mailstore.Name{"Project"}
	before, err := n.store.CreateMailbox(t.Context(), account.ID, project, "")
	must(t, err)
	must(t, send(t, n, "alice@here.example", "Subject: one\r\n\r\nx\r\n"))
	eventually(t, "delivery", func() bool { return len(readAll(t, n)) == 1 })
	must(t, n.store.DeleteMailbox(t.Context(), account.ID, project, "test"))
	last := n.ids.Next()
	inbox, err := n.store.Mailbox(t.Context(), account.ID, mailstore.Inbox())
	must(t, err)
	if strings.Contains(log(), "clock") {
		t.Errorf("log: %s", log())
	}
	queueMessage(t, n) // held, and due now: as a deferral leaves it
	for _, sql := range []string{"UPDATE job SET state = 1", "UPDATE job_recipient SET last_at = 1, attempts = 1"} {
		must(t, n.db.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(sql); return err }))
	}
	stop()

	n, stop, log = startAt(t, dir, -400*24*time.Hour)
	if !strings.Contains(log(), "the clock was set back") {
		t.Errorf("the log does not say so: %s", log())
	}
	seen := map[queueid.ID]bool{last: true}
	for range 100 {
		id := n.ids.Next()
		if seen[id] {
			t.Fatalf("%v twice", id)
		}
		seen[id] = true
	}
	again, err := n.store.CreateMailbox(t.Context(), account.ID, project, "")
	must(t, err)
	if again.UIDValidity <= before.UIDValidity {
		t.Errorf("UIDVALIDITY %d after %d", again.UIDValidity, before.UIDValidity)
	}
	must(t, send(t, n, "alice@here.example", "Subject: two\r\n\r\nx\r\n"))
	eventually(t, "delivery", func() bool { return len(readAll(t, n)) == 2 })
	now, err := n.store.Mailbox(t.Context(), account.ID, mailstore.Inbox())
	must(t, err)
	if now.ModSeq <= inbox.ModSeq || now.UIDNext <= inbox.UIDNext || now.UIDValidity != inbox.UIDValidity {
		t.Errorf("INBOX %+v, was %+v", now, inbox)
	}
	var list []queue.Info
	eventually(t, "the delivered job's end", func() bool {
		list, err = n.queue.List(t.Context())
		must(t, err)
		return len(list) == 1
	})
	for _, r := range list[0].Recipients {
		if r.Next != nil && r.Next.Sub(n.opt.Now()) > time.Hour {
			t.Errorf("the next attempt is at %v", r.Next)
		}
	}
	must(t, n.store.Verify(t.Context()))
	stop()

	// And forward again.
	n, stop, log = startAt(t, dir, 0)
	if strings.Contains(log(), "the clock was set back") {
		t.Errorf("log: %s", log())
	}
	if got := readAll(t, n); len(got) != 2 {
		t.Errorf("mail: %v", got)
	}
	stop()
}
