package node

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// rebuilt is a directory with its rebuilt database, and what a system on it has.
type rebuilt struct {
	faults, notes []admin.Fault
	sum           admin.CheckSummary
	mail          map[string][]byte   // by subject
	boxes         map[string][]string // subjects by account/mailbox
}

// rebuild rebuilds, wants nothing left to say afterwards, and reads everything.
func (s *sample) rebuild(t *testing.T) (r rebuilt) {
	t.Helper()
	r.faults, r.notes, r.sum = s.check(t, admin.CheckQuery{Rebuild: true})
	if !r.sum.Clean {
		t.Fatalf("after the rebuild there are faults: %+v", r.faults)
	}
	if again, notes, sum := s.check(t, admin.CheckQuery{Deep: true}); !sum.Clean || len(again)+len(notes) > 0 {
		t.Fatalf("a check after the rebuild: %+v %+v", again, notes)
	}
	n, stop := start(t, onSQLite(t, s.dir))
	defer stop()
	must(t, n.queue.Sync(t.Context()))
	r.mail, r.boxes = readAll(t, n), map[string][]string{}
	visit(t, n, func(box string, e *mailstore.Email) {
		b := new(bytes.Buffer)
		src, err := n.store.Open(t.Context(), e)
		must(t, err)
		_, err = b.ReadFrom(src)
		must(t, err)
		r.boxes[box] = append(r.boxes[box], subjectOf(b.Bytes()))
	})
	for _, list := range r.boxes {
		slices.Sort(list)
	}
	must(t, n.store.Verify(t.Context()))
	return r
}

func (s *sample) removeDatabase(t *testing.T) {
	t.Helper()
	for _, tail := range sqliteFiles {
		if err := os.Remove(filepath.Join(s.dir, databaseFile) + tail); err != nil && tail == "" {
			t.Fatal(err)
		}
	}
}

// A lost database is made anew: every message is where it came in, byte for byte and once; what was expunged is there again.
func TestRebuildLostDatabase(t *testing.T) {
	s := newSample(t)
	validity := validities(t, s)
	s.removeDatabase(t)
	r := s.rebuild(t)
	if got := kinds(r.faults); !slices.Equal(got, []string{"database-missing"}) {
		t.Errorf("faults: %+v", r.faults)
	}
	if got := kinds(r.notes); !slices.Equal(got, []string{"account-restored", "job-held"}) {
		t.Errorf("notes: %+v", r.notes)
	}
	for subject, want := range s.mail {
		if !bytes.Equal(r.mail[subject], want) {
			t.Errorf("%s: %q\nnot %q", subject, r.mail[subject], want)
		}
	}
	want := map[string][]string{"Sent": {"appended"}}
	for i := range sampleMessages { // of two accounts; COPY and EXPUNGE are not known
		want["INBOX"] = append(want["INBOX"], fmt.Sprintf("m%d", i))
	}
	slices.Sort(want["INBOX"])
	if !maps.EqualFunc(r.boxes, want, slices.Equal) {
		t.Errorf("mailboxes: %v", r.boxes)
	}

	n, stop := start(t, onSQLite(t, s.dir))
	alice := address.Address{Local: "alice", Domain: "here.example"}
	if _, err := n.directory.Authenticate(t.Context(), "alice", "pw", directory.Client{}); err == nil {
		t.Error("somebody logs in before a password is set")
	}
	must(t, n.directory.SetPassword(t.Context(), alice, "new"))
	c := login(t, n, "alice@here.example", "new")
	arrived(t, c, "Sent", 1)
	visitEntries(t, n, "Sent", func(e mailstore.Entry) {
		if e.Flags != mailstore.Seen {
			t.Errorf("the flags of an APPEND: %v", e.Flags)
		}
	})
	// Mail goes on, and a name in use is not used again.
	must(t, send(t, n, "bob@here.example", "Subject: afterwards\r\n\r\nx\r\n"))
	eventually(t, "delivery", func() bool { return readAll(t, n)["afterwards"] != nil })
	eventually(t, "a queue with the held job alone", func() bool { // the delivered one goes a moment after its delivery
		list, err := n.queue.List(t.Context())
		must(t, err)
		return len(list) == 1 && list[0].State == "hold"
	})
	stop()
	for box, now := range validities(t, s) {
		if old := validity[box]; now <= old && !strings.HasPrefix(box, "postmaster@") { // made anew by the start, which knows the time
			t.Errorf("%s: UIDVALIDITY %d is not above %d", box, now, old)
		}
	}
}

func visitEntries(t *testing.T, n *Node, name string, fn func(mailstore.Entry)) {
	t.Helper()
	ids, err := n.store.Accounts(t.Context())
	must(t, err)
	for _, id := range ids {
		box, err := n.store.Mailbox(t.Context(), id, mailstore.Name{name})
		must(t, err)
		_, err = n.store.Snapshot(t.Context(), id, box.ID, fn)
		must(t, err)
	}
}

// validities are the mailboxes' UIDVALIDITY, by account and name.
func validities(t *testing.T, s *sample) map[string]uint32 {
	t.Helper()
	all := map[string]uint32{}
	n := openNode(t, s.dir)
	must(t, n.Load(t.Context()))
	people, err := n.directory.ListAccounts(t.Context(), "")
	must(t, err)
	for _, a := range people {
		boxes, err := n.store.Mailboxes(t.Context(), a.ID)
		must(t, err)
		for _, b := range boxes {
			all[a.Address.String()+"/"+b.Name.Join("/")] = b.UIDValidity
		}
	}
	must(t, n.Stop(t.Context()))
	return all
}

// A sound database is not touched by a rebuild; it is an ordinary repair.
func TestRebuildOfSoundDatabase(t *testing.T) {
	s := newSample(t)
	r := s.rebuild(t)
	if len(r.faults)+len(r.notes) > 0 {
		t.Errorf("%+v %+v", r.faults, r.notes)
	}
	s.reads(t, nil)
}

// What can be read of a damaged database stays: accounts with passwords, mailboxes, flags. The damaged file is set aside.
func TestRebuildDamagedDatabase(t *testing.T) {
	origin := newSample(t)
	for _, tc := range []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"garbage", func([]byte) []byte { return bytes.Repeat([]byte("x"), 9000) }},
		{"a half", func(b []byte) []byte { return b[:len(b)/2] }},
		{"empty", func(b []byte) []byte { return b[:1] }},
		{"the first page", func(b []byte) []byte { clear(b[100:4096]); return b }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := origin.copy(t)
			change(t, filepath.Join(s.dir, databaseFile), tc.damage)
			wantAll(t, s, s.rebuild(t))
			if aside, _ := filepath.Glob(filepath.Join(s.dir, asideFolder, databaseFile+"-*")); len(aside) == 0 {
				t.Error("the damaged file is nowhere")
			}
		})
	}
	size := 0
	change(t, filepath.Join(origin.dir, databaseFile), func(b []byte) []byte { size = len(b) / 4096; return b })
	t.Run("each page", func(t *testing.T) {
		t.Parallel()
		for page := 1; page < size; page += 7 {
			s := origin.copy(t)
			change(t, filepath.Join(s.dir, databaseFile), func(b []byte) []byte { clear(b[page*4096 : (page+1)*4096]); return b })
			faults, _, sum := s.check(t, admin.CheckQuery{Rebuild: true})
			if !sum.Clean {
				t.Errorf("page %d: %+v", page, faults)
			}
			s.sql(t) // it can be opened
			n := openNode(t, s.dir)
			must(t, n.Load(t.Context()))
			got := readAll(t, n)
			for subject, want := range s.mail {
				if !bytes.Equal(got[subject], want) {
					t.Errorf("page %d: %s: %d bytes, not %d; %+v", page, subject, len(got[subject]), len(want), faults)
				}
			}
			must(t, n.Stop(t.Context()))
		}
	})
}

// wantAll wants every message of the sample.
func wantAll(t *testing.T, s *sample, r rebuilt) {
	t.Helper()
	for subject, want := range s.mail {
		if !bytes.Equal(r.mail[subject], want) {
			t.Errorf("%s: %d bytes, not %d", subject, len(r.mail[subject]), len(want))
		}
	}
}

// A rebuild that was cut off is begun again, or finished if only the last step is missing; a server does not start meanwhile.
func TestRebuildCutOff(t *testing.T) {
	s := newSample(t)
	s.removeDatabase(t)
	cut := errors.New("cut off")
	for events := 1; ; events++ {
		left := events
		err := CheckOffline(t.Context(), Options{Config: onSQLite(t, s.dir)}, admin.CheckQuery{Rebuild: true}, func(admin.CheckEvent) error {
			if left--; left == 0 {
				return cut
			}
			return nil
		})
		if err == nil {
			break
		}
		if !errors.Is(err, cut) {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(s.dir, databaseFile)); err == nil {
			break // the last event is the report of what was done
		}
		if _, err := Open(t.Context(), Options{Config: onSQLite(t, s.dir), Log: testLog(t)}); !errors.Is(err, ErrNoDatabase) {
			t.Fatalf("after %d events: opened: %v", events, err)
		}
	}
	s.rebuildTwice(t)
}

// rebuildTwice damages the end of a rebuild: the new file is whole and not in its place.
func (s *sample) rebuildTwice(t *testing.T) {
	t.Helper()
	file := filepath.Join(s.dir, databaseFile)
	must(t, os.Rename(file, filepath.Join(s.dir, rebuiltFile)))
	must(t, os.WriteFile(file, []byte("damaged"), 0o600))
	if _, err := Open(t.Context(), Options{Config: onSQLite(t, s.dir), Log: testLog(t)}); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Fatalf("opened: %v", err)
	}
	wantAll(t, s, s.rebuild(t))
	if left, _ := filepath.Glob(file + ".*"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// After a compaction a record is there twice, or its source is gone: it comes back once, whole, also compressed.
func TestRebuildAfterCompaction(t *testing.T) {
	for _, gone := range []bool{false, true} {
		a := newAged(t, `database.engine = "sqlite"`, `database.url = ""`)
		addUser(t, a.n, "alice", "pw")
		alice := a.account("alice")
		body := strings.Repeat("a line of text that can be compressed\r\n", 60)
		for i := range 30 {
			text := subjectText(fmt.Sprint("n", i)) + body
			m, err := a.n.intake.Begin(a.ctx(), a.n.ids.Next(), int64(len(text)))
			must(t, err)
			_, err = m.Write([]byte(text))
			must(t, err)
			m.Close()
			box := []string{"Archive", fmt.Sprint(i % 2)}
			ref, err := m.Store(a.ctx(), &flow.Append{ID: a.n.ids.Next(), Account: alice, Mailbox: box, Flags: uint8(mailstore.Flagged),
				InternalDate: a.now(), Message: recipe.Whole(m.Self()), Index: m.Index.Encode()})
			must(t, err)
			if _, err := a.n.store.CreateMailbox(a.ctx(), alice, box, ""); err != nil && !errors.Is(err, mailstore.ErrExists) {
				t.Fatal(err)
			}
			_, _, err = a.n.store.Append(a.ctx(), &mailstore.Append{Account: alice, Mailbox: box, Messages: []mailstore.NewEntry{
				{Flags: mailstore.Flagged, Email: mailstore.NewEmail{Ref: ref, Size: m.Size(), Received: a.now(), Structure: m.Index.Encode()}}}})
			must(t, err)
		}
		a.idle()
		want := readAll(t, a.n)
		if s := a.upkeep(admin.UpkeepQuery{Compact: true, All: true}); s.Records != 30 {
			t.Fatalf("compaction: %+v", s)
		}
		if gone {
			a.later(25 * time.Hour)
			a.upkeep(admin.UpkeepQuery{Sweep: true})
		}
		a.restart()
		must(t, a.n.Stop(t.Context()))
		s := &sample{dir: a.dir}
		s.removeDatabase(t)
		r := s.rebuild(t)
		if len(want) != 30 || !maps.EqualFunc(r.mail, want, bytes.Equal) || len(r.boxes["Archive/0"]) != 15 || len(r.boxes["Archive/1"]) != 15 {
			t.Errorf("sources gone %v: %d messages, not %d; %v", gone, len(r.mail), len(want), r.boxes)
		}
		a.open() // for its end
	}
}

// A data directory copied file by file while the server works: what was acknowledged before the copy began is in it.
func TestCopyOfRunningDirectory(t *testing.T) {
	s := &sample{dir: t.TempDir()}
	n, stop := start(t, onSQLite(t, s.dir))
	addUser(t, n, "alice", "pw")
	for i := range 8 {
		must(t, send(t, n, "alice@here.example", subjectText(fmt.Sprint("n", i))+"x\r\n"))
	}
	eventually(t, "deliveries", func() bool { return len(readAll(t, n)) == 8 })
	want := readAll(t, n)
	done := make(chan error, 1)
	go func() {
		var err error
		for i := range 30 {
			err = errors.Join(err, send(t, n, "alice@here.example", subjectText(fmt.Sprint("later", i))+"x\r\n"))
		}
		done <- err
	}()
	c := &sample{dir: t.TempDir()}
	must(t, os.CopyFS(filepath.Join(c.dir, "packs"), os.DirFS(filepath.Join(s.dir, "packs"))))
	for _, tail := range sqliteFiles[:2] {
		b, err := os.ReadFile(filepath.Join(s.dir, databaseFile) + tail)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(c.dir, databaseFile)+tail, b, 0o600))
	}
	must(t, <-done)
	stop()
	faults, _, sum := c.check(t, admin.CheckQuery{Rebuild: true})
	if !sum.Clean {
		t.Fatalf("%+v", faults)
	}
	n, stop = start(t, onSQLite(t, c.dir))
	defer stop()
	got := readAll(t, n)
	for subject, b := range want {
		if !bytes.Equal(got[subject], b) {
			t.Errorf("%s is not in the copy", subject)
		}
	}
}

// What aliases there were only the mail tells that came for them.
func TestRebuildNamesLostAliases(t *testing.T) {
	s := &sample{dir: t.TempDir()}
	n, stop := start(t, onSQLite(t, s.dir))
	addUser(t, n, "alice", "pw")
	alice, sales := address.Address{Local: "alice", Domain: "here.example"}, address.Address{Local: "sales", Domain: "here.example"}
	_, err := n.directory.AddAlias(t.Context(), sales, []address.Address{alice})
	must(t, err)
	for _, to := range []string{"sales", "alice+shop", "alice"} {
		must(t, send(t, n, to+"@here.example", "Subject: to "+to+"\r\n\r\nx\r\n"))
	}
	eventually(t, "delivery", func() bool { return len(readAll(t, n)) == 3 })
	stop()
	s.removeDatabase(t)
	_, notes, _ := s.check(t, admin.CheckQuery{Rebuild: true})
	var lost []string
	for _, f := range notes {
		if f.Kind == "alias-lost" {
			lost = append(lost, f.Text)
		}
	}
	if len(lost) != 1 || !strings.Contains(lost[0], "mail for sales@here.example went to alice@here.example") {
		t.Errorf("%q", lost)
	}
}

// A copy that had a sender of its own, a list's owner, has it again.
func TestRebuildKeepsTheCopysSender(t *testing.T) {
	s := &sample{dir: t.TempDir()}
	c := onSQLite(t, s.dir)
	c.Routing.AliasMaps = []string{"inline:{list=alice, owner-list=alice}"}
	n, stop := start(t, c)
	addSilentUser(t, n, "alice")
	must(t, send(t, n, "list@here.example", "Subject: to the list\r\n\r\nx\r\n"))
	mailboxes(t, n, 1, "alice")
	stop()
	s.removeDatabase(t)
	for subject, text := range s.rebuild(t).mail {
		if !bytes.HasPrefix(text, []byte("Return-Path: <owner-list@here.example>\r\n")) {
			t.Errorf("%s:\n%s", subject, text)
		}
	}
}
