package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/schema"
)

// sample is a data directory with mail in it, of a system that was stopped.
type sample struct {
	dir   string
	mail  map[string][]byte // messages as their readers got them, by subject
	place map[string]mailstore.Email
	inner string // a message behind which others stand in its pack
}

// behind lists the messages that stand in a message's pack, from it on.
func (s *sample) behind(subject string) (list []string) {
	at := s.place[subject].Ref
	for other, e := range s.place {
		if e.Ref.Pack == at.Pack && e.Ref.Offset >= at.Offset {
			list = append(list, other)
		}
	}
	return list
}

const sampleMessages = 12

// onSQLite is a configuration for copies of a data directory, database and all. On PostgreSQL TestCheckOnline tells.
func onSQLite(t testing.TB, dir string) *config.Config {
	return testConfig(t, dir, `database.engine = "sqlite"`, `database.url = ""`)
}

// newSample fills a directory by the ordinary ways: SMTP, small and large, IMAP's APPEND and COPY, a message in the queue.
func newSample(t *testing.T) *sample {
	t.Helper()
	s := &sample{dir: t.TempDir(), mail: map[string][]byte{}, place: map[string]mailstore.Email{}}
	n, stop := start(t, onSQLite(t, s.dir))
	addUser(t, n, "alice", "pw")
	addUser(t, n, "bob", "pw")
	for i := range sampleMessages {
		body := strings.Repeat(fmt.Sprintf("line of message %d\r\n", i), 20)
		if i == 5 {
			body = strings.Repeat("a line of a large message\r\n", 12_000) // beyond 256 KiB: a pack of its own
		}
		text := fmt.Sprintf("From: s@far.example\r\nSubject: m%d\r\nMessage-ID: <%d@far.example>\r\nMIME-Version: 1.0\r\n"+
			"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n%s\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x\r\n--b--\r\n", i, i, body)
		if err := send(t, n, []string{"alice", "bob"}[i%2]+"@here.example", text); err != nil {
			t.Fatal(err)
		}
		// One after another, so that each record stands in a group of its own.
		eventually(t, "delivery", func() bool { return len(readAll(t, n)) == i+1 })
	}
	k := dialTalk(t, n, "imaps").secure()
	k.say("a LOGIN alice@here.example pw", "a OK")
	k.say("b SELECT INBOX", "b OK")
	k.say("c COPY 1 Archive", "c OK")
	k.say("d STORE 2 +FLAGS (\\Seen \\Deleted)", "d OK")
	k.say("e EXPUNGE", "e OK")
	k.say("f STORE 2 +FLAGS (\\Seen)", "f OK")
	text := "Subject: appended\r\n\r\nput here by its reader\r\n"
	k.say(fmt.Sprintf("g APPEND Sent (\\Seen) {%d+}\r\n%s", len(text), text), "g OK")
	k.say("h LOGOUT", "h OK")
	stop()

	off := openNode(t, s.dir)
	if err := off.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	queueMessage(t, off)
	s.mail = readAll(t, off)
	s.place = emailsOf(t, off)
	for subject := range s.place {
		if len(s.behind(subject)) > len(s.behind(s.inner)) { // which pack a record goes to is a matter of time
			s.inner = subject
		}
	}
	if err := off.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

func testLog(t testing.TB) *obs.Log {
	t.Helper()
	log, err := obs.New(obs.Options{Out: io.Discard, Format: "text", Level: "error"})
	must(t, err)
	return log
}

func openNode(t testing.TB, dir string) *Node {
	t.Helper()
	n, err := Open(t.Context(), Options{Config: onSQLite(t, dir), Log: testLog(t), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// queueMessage puts a message for elsewhere into the queue, held.
func queueMessage(t testing.TB, n *Node) {
	t.Helper()
	text := "Subject: queued\r\n\r\non its way\r\n"
	id := n.ids.Next()
	m, err := n.intake.Begin(t.Context(), id, int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(m, text); err != nil {
		t.Fatal(err)
	}
	m.Close()
	to := address.Address{Local: "x", Domain: "far.example"}
	job := &flow.Job{ID: id, Received: time.Now(), From: address.Address{Local: "alice", Domain: "here.example"}, Message: recipe.Whole(m.Self()),
		Index: m.Index.Encode(), Recipients: []flow.Recipient{{To: to, Original: to, Transport: flow.SMTP, NextHop: "far.example"}}}
	if err := m.Accept(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if err := n.queue.Hold(id, true); err != nil {
		t.Fatal(err)
	}
	if err := n.queue.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// visit calls fn for every message in a mailbox.
func visit(t testing.TB, n *Node, fn func(box string, e *mailstore.Email)) {
	t.Helper()
	ids, err := n.store.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range ids {
		boxes, err := n.store.Mailboxes(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		for _, box := range boxes {
			var emails []int64
			if _, err := n.store.Snapshot(t.Context(), account, box.ID, func(e mailstore.Entry) { emails = append(emails, e.Email) }); err != nil {
				t.Fatal(err)
			}
			for _, id := range emails {
				var email *mailstore.Email
				err := n.store.Emails(t.Context(), account, []int64{id}, func(e *mailstore.Email) error {
					c := *e
					c.Literals, c.Structure = slices.Clone(e.Literals), slices.Clone(e.Structure)
					email = &c
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if email != nil {
					fn(box.Name.Join("/"), email)
				}
			}
		}
	}
}

// readAll reads every message in every mailbox, by subject; two places of one email are one message.
func readAll(t testing.TB, n *Node) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	visit(t, n, func(box string, e *mailstore.Email) {
		r, err := n.store.Open(t.Context(), e)
		if err != nil {
			t.Errorf("%s, email %d: %v", box, e.ID, err)
			return
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Errorf("%s, email %d: %v", box, e.ID, err)
			return
		}
		all[subjectOf(b)] = b
	})
	return all
}

func emailsOf(t testing.TB, n *Node) map[string]mailstore.Email {
	t.Helper()
	all := map[string]mailstore.Email{}
	visit(t, n, func(_ string, e *mailstore.Email) {
		r, err := n.store.Open(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[subjectOf(b)] = *e
	})
	return all
}

func subjectOf(b []byte) string {
	_, rest, _ := bytes.Cut(b, []byte("Subject: "))
	subject, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(subject)
}

// sql changes the database of a stopped system as no part of it would.
func (s *sample) sql(t testing.TB, statements ...string) {
	t.Helper()
	d, err := db.Open(t.Context(), filepath.Join(s.dir, "store.db"), db.Options{Schema: schema.Store})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range statements {
		if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(q); return err }); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// pack is the file of the pack that holds a message.
func (s *sample) pack(subject string) string {
	return filepath.Join(s.dir, "packs", fmt.Sprintf("%010d.pack", s.place[subject].Ref.Pack))
}

// change rewrites a file.
func change(t testing.TB, file string, fn func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fn(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// check runs an offline check and returns its faults, notes apart.
func (s *sample) check(t testing.TB, q admin.CheckQuery) (faults, notes []admin.Fault, sum admin.CheckSummary) {
	t.Helper()
	err := CheckOffline(t.Context(), Options{Config: onSQLite(t, s.dir)}, q, func(e admin.CheckEvent) error {
		switch {
		case e.Fault != nil && e.Fault.Note:
			notes = append(notes, *e.Fault)
		case e.Fault != nil:
			faults = append(faults, *e.Fault)
		case e.Summary != nil:
			sum = *e.Summary
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return faults, notes, sum
}

func kinds(list []admin.Fault) []string {
	set := map[string]bool{}
	for _, f := range list {
		set[f.Kind] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func flip(at int64) func([]byte) []byte {
	return func(b []byte) []byte { b[at] ^= 0x40; return b }
}

// reads starts the repaired system and wants every message that is not lost, byte for byte.
func (s *sample) reads(t *testing.T, lost []string) {
	t.Helper()
	n, stop := start(t, onSQLite(t, s.dir))
	defer stop()
	if err := n.queue.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := readAll(t, n)
	for subject, want := range s.mail {
		if slices.Contains(lost, subject) {
			if got[subject] != nil {
				t.Errorf("%s is there, and should be lost: the test does not damage what it means to", subject)
			}
			continue
		}
		if !bytes.Equal(got[subject], want) {
			t.Errorf("%s: %d bytes, not the %d that were stored", subject, len(got[subject]), len(want))
		}
	}
	if len(got) > len(s.mail)-len(lost) {
		t.Errorf("there are messages that were not there: %v", slices.Sorted(maps.Keys(got)))
	}
}

func (s *sample) copy(t testing.TB) *sample {
	t.Helper()
	c := *s
	c.dir = t.TempDir()
	must(t, os.CopyFS(c.dir, os.DirFS(s.dir)))
	return &c
}

// jobPack is the pack that only the job in the queue leads to.
func (s *sample) jobPack(t testing.TB) (file string) {
	t.Helper()
	d, err := db.Open(t.Context(), filepath.Join(s.dir, "store.db"), db.Options{Schema: schema.Store})
	must(t, err)
	var pack int64
	must(t, d.Read(t.Context(), func(tx *db.Tx) error { _, err := tx.QueryRow("SELECT pack FROM job").Scan(&pack); return err }))
	must(t, d.Close())
	return filepath.Join(s.dir, "packs", fmt.Sprintf("%010d.pack", pack))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
