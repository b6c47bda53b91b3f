package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

func TestCheckNamesAndMends(t *testing.T) {
	origin := newSample(t)
	if faults, notes, sum := origin.check(t, admin.CheckQuery{Deep: true}); len(faults)+len(notes) > 0 || !sum.Clean ||
		sum.Emails != sampleMessages+1 || sum.Jobs != 1 || sum.Accounts != 3 || sum.Records != sampleMessages+2 {
		t.Fatalf("the undamaged store: %+v\n%+v\n%+v", sum, faults, notes)
	}
	type test struct {
		name   string
		damage func(*testing.T, *sample)
		want   []string // kinds of faults, ascending
		lost   []string // messages that nobody can have any more
		light  bool     // a check that is not deep finds it too
		notes  []string // of the second check
	}
	one := func(sql ...string) func(*testing.T, *sample) {
		return func(t *testing.T, s *sample) { s.sql(t, sql...) }
	}
	const inbox = " WHERE mailbox_id = 1 AND account_id = (SELECT account_id FROM account WHERE account_key = 'alice@here.example')"
	tests := []test{
		{name: "pack removed", light: true, want: []string{"email-no-record", "pack-missing"}, lost: []string{"m5"},
			damage: func(t *testing.T, s *sample) { must(t, os.Remove(s.pack("m5"))) }},
		{name: "large message truncated", light: true, want: []string{"pack-truncated", "record-damaged"}, lost: []string{"m5"},
			damage: func(t *testing.T, s *sample) { must(t, os.Truncate(s.pack("m5"), 300_000)) }},
		{name: "pack truncated at a record", light: true, want: []string{"email-no-record", "pack-truncated"}, lost: []string{"appended", "m11"},
			damage: func(t *testing.T, s *sample) { must(t, os.Truncate(s.pack("m11"), s.place["m11"].Ref.Offset)) }},
		{name: "pack truncated in a record", light: true, want: []string{"email-no-record", "pack-truncated", "record-damaged"}, lost: []string{"appended", "m11"},
			damage: func(t *testing.T, s *sample) { must(t, os.Truncate(s.pack("m11"), s.place["m11"].Ref.Offset+100)) }},
		{name: "bit in a body", want: []string{"record-damaged"}, lost: []string{"m3"}, notes: []string{"record-unused"},
			damage: func(t *testing.T, s *sample) { change(t, s.pack("m3"), flip(s.place["m3"].Ref.Offset+200)) }},
		{name: "bit in a record's header", light: true, want: []string{"record-damaged"}, lost: []string{"m4"}, notes: []string{"record-unused"},
			damage: func(t *testing.T, s *sample) { change(t, s.pack("m4"), flip(s.place["m4"].Ref.Offset+20)) }},
		{name: "bit in the pack's header", light: true, want: []string{"pack-header"},
			damage: func(t *testing.T, s *sample) { change(t, s.pack("m3"), flip(30)) }},
		{name: "stranger in the folder", light: true, want: []string{"file-unknown"},
			damage: func(t *testing.T, s *sample) {
				must(t, os.WriteFile(filepath.Join(s.dir, "packs", "notes.txt"), []byte("x"), 0o600))
			}},
		{name: "a pack of garbage", light: true, want: []string{"pack-unreadable"},
			damage: func(t *testing.T, s *sample) {
				must(t, os.WriteFile(filepath.Join(s.dir, "packs", "0000000099.pack"), bytes.Repeat([]byte("x"), 5000), 0o600))
			}},
		{name: "the catalog forgot a pack", light: true, want: []string{"pack-unknown"},
			damage: func(t *testing.T, s *sample) {
				s.sql(t, fmt.Sprintf("DELETE FROM pack WHERE pack = %d", s.place["m3"].Ref.Pack))
			}},
		{name: "the catalog has too many", light: true, want: []string{"pack-missing"},
			damage: one("INSERT INTO pack (pack, state, node, epoch, created, size, settled, condemned) VALUES (77, 2, 1, 1, 1, 9000, 9000, 0)")},
		{name: "counters", light: true, want: []string{"mailbox-counters"},
			damage: one("UPDATE mailbox SET messages = messages + 3, unseen = 0, deleted = 9, bytes = 1" + inbox)},
		{name: "what the quota counts", light: true, want: []string{"account-counters"}, damage: one("UPDATE account_state SET bytes = bytes - 1")},
		{name: "uidnext", light: true, want: []string{"uidnext"}, damage: one("UPDATE mailbox SET uidnext = 2" + inbox)},
		{name: "modseq", light: true, want: []string{"modseq"}, damage: one("UPDATE mailbox SET modseq = 1" + inbox)},
		{name: "the account's modseq", light: true, want: []string{"modseq"}, damage: one("UPDATE account_state SET modseq = 2")},
		{name: "uidvalidity", light: true, want: []string{"uidvalidity"}, damage: one("UPDATE mailbox SET uidvalidity = 0" + inbox)},
		{name: "email numbers", light: true, want: []string{"account-numbers"}, damage: one("UPDATE account_state SET next_email = 1, next_mailbox = 1")},
		{name: "emails deleted", light: true, want: []string{"entry-no-email"}, lost: []string{"m0"},
			damage: func(t *testing.T, s *sample) {
				e := s.place["m0"]
				s.sql(t, fmt.Sprintf("DELETE FROM email WHERE account_id = %d AND email_id = %d", e.Account, e.ID))
			}},
		{name: "entries deleted", light: true, want: []string{"account-counters", "email-no-entry", "mailbox-counters"},
			damage: one("DELETE FROM entry" + inbox)},
		{name: "an INBOX deleted", light: true, want: []string{"account-no-inbox"}, damage: one("DELETE FROM mailbox" + inbox)},
		{name: "a mailbox deleted", light: true, want: []string{"entry-no-mailbox"},
			damage: one("DELETE FROM mailbox WHERE name = 'Archive'")},
		{name: "an account's row deleted", light: true, want: []string{"account-no-state"}, damage: one("DELETE FROM account_state WHERE messages > 5")},
		{name: "an account without mailboxes", light: true, want: []string{"account-no-state"},
			damage: one("DELETE FROM account_state WHERE messages = 0", "DELETE FROM mailbox WHERE account_id NOT IN (SELECT account_id FROM account_state)")},
		{name: "entry of another size", light: true, want: []string{"account-counters", "entry-size", "mailbox-counters"},
			damage: one("UPDATE entry SET size = size - 1 WHERE uid = 1 AND mailbox_id = 1")},
		{name: "present and expunged", light: true, want: []string{"entry-expunged"},
			damage: one("INSERT INTO expunged (account_id, mailbox_id, uid, email_id, modseq, at, by_session) SELECT account_id, mailbox_id, uid, email_id, modseq, 1, 'x' FROM entry WHERE uid = 1 AND mailbox_id = 1")},
		{name: "structure of another message", want: []string{"structure-differs"},
			damage: func(t *testing.T, s *sample) {
				e := s.place["m6"]
				s.sql(t, fmt.Sprintf("UPDATE email SET structure = (SELECT structure FROM email m WHERE m.account_id = %[1]d AND m.email_id <> %[2]d LIMIT 1) "+
					"WHERE account_id = %[1]d AND email_id = %[2]d", e.Account, e.ID))
			}},
		{name: "an email led astray", light: true, want: []string{"record-damaged"}, lost: []string{"m6"},
			damage: func(t *testing.T, s *sample) {
				e := s.place["m6"]
				s.sql(t, fmt.Sprintf("UPDATE email SET place = place + 8 WHERE account_id = %d AND email_id = %d", e.Account, e.ID))
			}},
		{name: "job without record", light: true, want: []string{"job-no-record", "pack-missing"}, notes: []string{"job-no-record"},
			damage: func(t *testing.T, s *sample) { must(t, os.Remove(s.jobPack(t))) }},
		{name: "job garbled", light: true, want: []string{"job-unreadable"}, notes: []string{"job-unreadable"}, damage: one("UPDATE job SET body = X'00010203'")},
		{name: "job's pack", light: true, want: []string{"job-pack"}, damage: one("UPDATE job SET pack = 1")},
		{name: "recipient without job", light: true, want: []string{"recipient-no-job"}, damage: one("DELETE FROM job")},
		{name: "old ledger", light: true, want: []string{"ledger-unused"},
			damage: one("INSERT INTO delivered (queue_id, recipient_no) VALUES (X'00000000000000010000000000000001', 0)", "INSERT INTO delivered (queue_id, recipient_no) VALUES (X'00FFFFFFFFFFFFFF0000000000000001', 0)")},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := origin.copy(t)
			tc.damage(t, s)
			faults, _, sum := s.check(t, admin.CheckQuery{Deep: true})
			if got := kinds(faults); !slices.Equal(got, tc.want) || sum.Clean || sum.Mended > 0 {
				t.Fatalf("found %v, wanted %v\n%+v", got, tc.want, faults)
			}
			if light, _, _ := s.check(t, admin.CheckQuery{}); tc.light != (len(light) > 0) {
				t.Errorf("a light check found %v", kinds(light))
			}
			mended, _, sum := s.check(t, admin.CheckQuery{Deep: true, Repair: true})
			if !sum.Clean || sum.Faults == 0 {
				t.Errorf("the repair left faults: %+v", mended)
			}
			again, notes, sum := s.check(t, admin.CheckQuery{Deep: true})
			if !sum.Clean || len(again) > 0 {
				t.Fatalf("after the repair: %+v", again)
			}
			if !slices.Equal(kinds(notes), tc.notes) {
				t.Errorf("notes after the repair: %+v", notes)
			}
			s.reads(t, tc.lost)
		})
	}
}

// What only a person can mend is named and left as it is, also by a repair: with the cause put right, nothing is missing.
func TestCheckLeavesAlone(t *testing.T) {
	origin := newSample(t)
	later := func(t *testing.T, s *sample) {
		change(t, s.pack("m3"), func(b []byte) []byte { b[8] = 2; return reseal(b, 0, 60) })
	}
	record := func(t *testing.T, s *sample) {
		change(t, s.pack("m3"), func(b []byte) []byte {
			at := s.place["m3"].Ref.Offset
			b[at+12] = 2
			reseal(b, at, at+60)
			end := at + 64 + s.place["m3"].Ref.Length + 12 + int64(binary.BigEndian.Uint32(b[at+48:]))
			copy(b[end+4:], b[at+60:at+64])
			return reseal(b, end, end+28)
		})
	}
	database := func(fn func([]byte) []byte) func(*testing.T, *sample) {
		return func(t *testing.T, s *sample) { change(t, filepath.Join(s.dir, "store.db"), fn) }
	}
	for _, tc := range []struct {
		name   string
		damage func(*testing.T, *sample)
		want   []string // among the faults
	}{
		{"a pack of a later version", later, []string{"pack-later", "record-later"}},
		{"a record of a later version", record, []string{"record-later"}},
		{"no database", func(t *testing.T, s *sample) { must(t, os.Remove(filepath.Join(s.dir, "store.db"))) }, []string{"database-missing"}},
		{"garbage as database", database(func([]byte) []byte { return bytes.Repeat([]byte("x"), 9000) }), []string{"database-damaged"}},
		{"a half of the database", database(func(b []byte) []byte { return b[:len(b)/2] }), []string{"database-damaged"}},
		{"damaged pages", database(func(b []byte) []byte { clear(b[20*4096 : 44*4096]); return b }), []string{"database-damaged"}},
		{"database of a later version", func(t *testing.T, s *sample) {
			s.sql(t, "INSERT INTO schema_migration (version, name, applied) VALUES (9999, '9999_later.sql', 1)")
		}, []string{"database-later"}},
		{"database of another program", database(func(b []byte) []byte { copy(b[68:], "\x00\x00\x12\x34"); return b }), []string{"database-foreign"}},
		{"database of another installation", func(t *testing.T, s *sample) {
			s.sql(t, "UPDATE installation SET uuid = 'b2f2f9d8-6a2b-4c7e-9f46-3c6f4a1f6f60'")
		}, []string{"pack-installation"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := origin.copy(t)
			tc.damage(t, s)
			for _, repair := range []bool{false, true} {
				faults, _, sum := s.check(t, admin.CheckQuery{Deep: true, Repair: repair})
				got := kinds(faults)
				for _, kind := range tc.want {
					if !slices.Contains(got, kind) {
						t.Errorf("found %v, wanted %s", got, kind)
					}
				}
				if sum.Clean {
					t.Error("it calls this clean")
				}
			}
			for _, name := range []string{"store.db", filepath.Join("packs", filepath.Base(s.pack("m3")))} {
				b, err := os.ReadFile(filepath.Join(origin.dir, name))
				must(t, err)
				for _, tail := range []string{"-wal", "-shm"} {
					if err := os.Remove(filepath.Join(s.dir, name) + tail); err != nil && !errors.Is(err, os.ErrNotExist) {
						t.Fatal(err)
					}
				}
				must(t, os.WriteFile(filepath.Join(s.dir, name), b, 0o600))
			}
			if faults, notes, sum := s.check(t, admin.CheckQuery{Deep: true}); !sum.Clean || len(notes) > 0 {
				t.Errorf("with the cause put right: %+v %+v", faults, notes)
			}
			s.reads(t, nil)
		})
	}
}

// reseal writes the sum behind what it is of.
func reseal(b []byte, from, to int64) []byte {
	binary.BigEndian.PutUint32(b[to:], crc32.Checksum(b[from:to], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// A server with packs and an empty place for the database does not start on a new one.
func TestLostDatabaseIsNotReplaced(t *testing.T) {
	s := newSample(t)
	must(t, os.Remove(filepath.Join(s.dir, "store.db")))
	_, err := Open(t.Context(), Options{Config: onSQLite(t, s.dir), Log: testLog(t)})
	if !errors.Is(err, ErrNoDatabase) {
		t.Fatalf("opened: %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "store.db")); err == nil {
		t.Error("a new database was made")
	}
}

// A database from before a pack was made (a backup put back) does not write over that pack.
func TestOldDatabaseSparesNewPacks(t *testing.T) {
	s := newSample(t)
	s.sql(t, "DELETE FROM email", "DELETE FROM entry", "DELETE FROM job", "DELETE FROM job_recipient", "DELETE FROM pack", "DELETE FROM delivered")
	before := map[string][]byte{}
	packs, err := filepath.Glob(filepath.Join(s.dir, "packs", "*"))
	must(t, err)
	for _, p := range packs {
		if before[p], err = os.ReadFile(p); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, sum := s.check(t, admin.CheckQuery{Repair: true}); !sum.Clean {
		t.Fatalf("%+v", sum)
	}
	for p, want := range before {
		if got, err := os.ReadFile(p); len(want) > 64 && (err != nil || !bytes.Equal(got, want)) {
			t.Errorf("%s has changed: %v", p, err)
		}
	}
	// What was accepted for our users and is in no mailbox is delivered again; what clients put there themselves is not.
	n, _ := start(t, onSQLite(t, s.dir))
	eventually(t, "deliveries", func() bool { return len(readAll(t, n)) == sampleMessages })
	for subject, got := range readAll(t, n) {
		want := s.mail[subject]
		if want == nil {
			continue // expunged, and the old database does not know it
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs", subject)
		}
	}
}

// With a server running: deliveries go on, nothing is taken for a fault that is not, and a repair tells the clients.
func TestCheckOnline(t *testing.T) {
	c := testConfig(t, t.TempDir())
	n, _ := start(t, c)
	addUser(t, n, "alice", "pw")
	text := "Subject: m%d\r\nMessage-ID: <%d@far.example>\r\n\r\n" + strings.Repeat("a line\r\n", 30)
	for i := range 3 {
		must(t, send(t, n, "alice@here.example", fmt.Sprintf(text, i, i)))
		eventually(t, "delivery", func() bool { return len(readAll(t, n)) == i+1 })
	}
	client, err := admin.Dial(t.Context(), c.RunDir)
	must(t, err)
	defer client.Close()
	run := func(q admin.CheckQuery) (faults []admin.Fault, sum admin.CheckSummary) {
		t.Helper()
		must(t, client.Check(t.Context(), q, func(e admin.CheckEvent) error {
			if e.Fault != nil && !e.Fault.Note {
				faults = append(faults, *e.Fault)
			}
			if e.Summary != nil {
				sum = *e.Summary
			}
			return nil
		}))
		return faults, sum
	}
	const more = 20
	var group sync.WaitGroup
	group.Go(func() {
		for i := range more {
			if err := send(t, n, "alice@here.example", fmt.Sprintf(text, 100+i, 100+i)); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 10 {
		if faults, sum := run(admin.CheckQuery{Deep: true, Repair: i%2 == 1}); !sum.Clean || len(faults) > 0 {
			t.Fatalf("%+v %+v", sum, faults)
		}
	}
	group.Wait()
	eventually(t, "the rest", func() bool { return len(readAll(t, n)) == 3+more })

	k := dialTalk(t, n, "imaps").secure()
	k.say("a LOGIN alice@here.example pw", "a OK")
	k.say("b SELECT INBOX", "b OK")
	at := emailsOf(t, n)["m1"].Ref
	file, err := os.OpenFile(filepath.Join(c.DataDir, "packs", fmt.Sprintf("%010d.pack", at.Pack)), os.O_RDWR, 0)
	must(t, err)
	_, err = file.WriteAt([]byte{0xff}, at.Offset+64+40)
	must(t, errors.Join(err, file.Close()))
	must(t, n.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE mailbox SET messages = messages + 5 WHERE mailbox_id = 1")
		return err
	}))
	faults, sum := run(admin.CheckQuery{Deep: true, Repair: true})
	if got := kinds(faults); !sum.Clean || !slices.Equal(got, []string{"mailbox-counters", "record-damaged"}) {
		t.Fatalf("%+v %+v", sum, faults)
	}
	for _, f := range faults {
		if f.Kind == "record-damaged" && (f.Account != "alice@here.example" || f.Mailbox != "INBOX" || f.UID != 2 || !strings.Contains(f.Text, `"m1"`)) {
			t.Errorf("which message it is: %+v", f)
		}
	}
	k.say("c NOOP", "* 2 EXPUNGE")
	k.until("c OK")
	if faults, sum := run(admin.CheckQuery{Deep: true}); !sum.Clean || len(faults) > 0 || sum.Notes != 1 {
		t.Errorf("%+v %+v", sum, faults)
	}
	must(t, send(t, n, "alice@here.example", fmt.Sprintf(text, 7, 7)))
	eventually(t, "delivery after the repair", func() bool { return len(readAll(t, n)) == 3+more })
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
