package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/state/db"
)

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
	// What was accepted for our users, and what they put there themselves, is in the mailboxes again.
	n, _ := start(t, onSQLite(t, s.dir))
	if got := readAll(t, n); len(got) != sampleMessages+1 {
		t.Errorf("%d messages", len(got))
	}
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
	if faults, sum := run(admin.CheckQuery{Deep: true}); !sum.Clean || len(faults) > 0 || sum.Notes > 1 { // no note: it was the last of its pack
		t.Errorf("%+v %+v", sum, faults)
	}
	must(t, send(t, n, "alice@here.example", fmt.Sprintf(text, 7, 7)))
	eventually(t, "delivery after the repair", func() bool { return len(readAll(t, n)) == 3+more })
}

// A lost pack that is found again: its messages are where they were.
func TestPackPutBack(t *testing.T) {
	s := newSample(t)
	file := s.pack(s.inner)
	b, err := os.ReadFile(file)
	must(t, err)
	must(t, os.Remove(file))
	if _, _, sum := s.check(t, admin.CheckQuery{Repair: true}); !sum.Clean {
		t.Fatalf("%+v", sum)
	}
	must(t, os.WriteFile(file, b, 0o600))
	if faults, _, sum := s.check(t, admin.CheckQuery{Repair: true}); !sum.Clean {
		t.Fatalf("%+v", faults)
	}
	s.reads(t, nil)
}

// Database and packs of two systems, and a database that has lost all that was in it: no server starts on them, the check
// names it, a rebuild does not mix them, and nothing is written.
func TestTwoSystems(t *testing.T) {
	one, two := newSample(t), newSample(t)
	open := func(dir, want string) {
		t.Helper()
		if _, err := Open(t.Context(), Options{Config: onSQLite(t, dir), Log: testLog(t)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("opened: %v, wanted %q", err, want)
		}
	}
	mixed := one.copy(t)
	change(t, filepath.Join(mixed.dir, "store.db"), func([]byte) []byte {
		b, err := os.ReadFile(filepath.Join(two.dir, "store.db"))
		must(t, err)
		return b
	})
	open(mixed.dir, "written by another installation")
	faults, _, sum := mixed.check(t, admin.CheckQuery{Repair: true})
	if !slices.Contains(kinds(faults), "pack-installation") || sum.Clean {
		t.Errorf("%+v", faults)
	}

	both := one.copy(t)
	must(t, os.Remove(filepath.Join(both.dir, "store.db")))
	b, err := os.ReadFile(two.pack("m0"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(both.dir, "packs", "0000000777.pack"), b, 0o600))
	err = CheckOffline(t.Context(), Options{Config: onSQLite(t, both.dir)}, admin.CheckQuery{Rebuild: true}, func(admin.CheckEvent) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "of 2 installations") {
		t.Errorf("rebuilt: %v", err)
	}
	if _, err := os.Stat(filepath.Join(both.dir, "store.db")); err == nil {
		t.Error("there is a database")
	}

	empty := one.copy(t)
	change(t, filepath.Join(empty.dir, "store.db"), func([]byte) []byte { return nil })
	open(empty.dir, "the database is empty")
	open(empty.dir, "the database is empty") // also when the first attempt has made tables in it
	wantAll(t, empty, empty.rebuild(t))
}

// A second server on the directory of a running one is refused, and so are an offline check and a rebuild.
func TestTwoServers(t *testing.T) {
	dir := t.TempDir()
	start(t, onSQLite(t, dir))
	if _, err := Open(t.Context(), Options{Config: onSQLite(t, dir), Log: testLog(t)}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second server: %v", err)
	}
	for _, q := range []admin.CheckQuery{{}, {Rebuild: true}} {
		if err := CheckOffline(t.Context(), Options{Config: onSQLite(t, dir)}, q, nil); !errors.Is(err, ErrLocked) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	client, err := admin.Dial(t.Context(), onSQLite(t, dir).RunDir)
	must(t, err)
	defer client.Close()
	if err := client.Check(t.Context(), admin.CheckQuery{Rebuild: true}, func(admin.CheckEvent) error { return nil }); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("through the socket: %v", err)
	}
}
