package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// keepDatabase copies the database of a server that nobody writes to at the moment, and returns what puts it back.
func keepDatabase(t *testing.T, dir string) (putBack func()) {
	t.Helper()
	kept := map[string][]byte{}
	for _, tail := range sqliteFiles[:2] {
		b, err := os.ReadFile(filepath.Join(dir, databaseFile) + tail)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		kept[tail] = b
	}
	return func() {
		t.Helper()
		for _, tail := range sqliteFiles {
			if err := os.Remove(filepath.Join(dir, databaseFile) + tail); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if len(kept[tail]) > 0 {
				must(t, os.WriteFile(filepath.Join(dir, databaseFile)+tail, kept[tail], 0o600))
			}
		}
	}
}

// refusesOld wants that no server starts, twice: the first attempt must not count as a start.
func refusesOld(t *testing.T, s *sample) {
	t.Helper()
	for range 2 {
		_, err := Open(t.Context(), Options{Config: onSQLite(t, s.dir), Log: testLog(t)})
		if !errors.Is(err, ErrOldDatabase) || !strings.Contains(err.Error(), "check --repair") {
			t.Fatalf("opened: %v", err)
		}
	}
}

// inboxTalk logs in and returns what SELECT says.
func inboxTalk(t *testing.T, n *Node) (k *talk, validity string) {
	t.Helper()
	k = dialTalk(t, n, "imaps").secure()
	k.say("a LOGIN alice@here.example pw", "a OK")
	k.say("b SELECT INBOX", "")
	validity = k.until("* OK [UIDVALIDITY")
	k.until("b OK")
	return k, validity
}

// A backup of the database beside the packs of today: mail, flags, copies, APPEND, EXPUNGE and a new mailbox came after it,
// and what was in its queue was sent. No server starts. The repair brings everything back, each message once; clients must
// believe nothing that they remember; nothing is sent elsewhere.
func TestDatabaseFromABackup(t *testing.T) {
	for _, hot := range []bool{false, true} {
		t.Run(fmt.Sprintf("hot %t", hot), func(t *testing.T) {
			t.Parallel()
			s := &sample{dir: t.TempDir()}
			n, stop := start(t, onSQLite(t, s.dir))
			addUser(t, n, "alice", "pw")
			mail := func(n *Node, subject string) {
				t.Helper()
				must(t, send(t, n, "alice@here.example", "Subject: "+subject+"\r\n\r\nthe text of "+subject+"\r\n"))
				eventually(t, "delivery", func() bool { return readAll(t, n)[subject] != nil })
			}
			mail(n, "old1")
			mail(n, "old2")
			queueMessage(t, n)
			n.ageing.note(t.Context()) // ten seconds
			k, before := inboxTalk(t, n)
			if !hot {
				stop()
			}
			putBack := keepDatabase(t, s.dir)
			if !hot {
				n, stop = start(t, onSQLite(t, s.dir))
				k, _ = inboxTalk(t, n)
			}
			mail(n, "new1")
			k.say("c NOOP", "")
			k.until("c OK")
			text := "Subject: appended\r\n\r\nput here by its reader\r\n"
			k.say("d CREATE Later", "d OK")
			k.say(fmt.Sprintf("e APPEND Later (\\Flagged) {%d+}\r\n%s", len(text), text), "e OK")
			k.say("f STORE 1 +FLAGS.SILENT (\\Deleted)", "f OK")
			k.say("g EXPUNGE", "")
			k.until("g OK")
			k.say("h COPY 1 Later", "h OK")
			mail(n, "new2")
			list, err := n.queue.List(t.Context())
			must(t, err)
			for _, j := range list {
				id, err := queueid.Parse(j.ID)
				must(t, err)
				must(t, n.queue.Delete(t.Context(), id)) // it was sent
			}
			emails := emailsOf(t, n)
			n.ageing.note(t.Context())
			stop()

			putBack()
			refusesOld(t, s)
			faults, _, sum := s.check(t, admin.CheckQuery{})
			if !slices.Contains(kinds(faults), "database-old") || sum.Clean {
				t.Fatalf("%+v", faults)
			}
			refusesOld(t, s)
			cut := errors.New("cut off")
			for _, stage := range []string{"messages", "catalog", "installation"} {
				err := CheckOffline(t.Context(), Options{Config: onSQLite(t, s.dir)}, admin.CheckQuery{Repair: true}, func(e admin.CheckEvent) error {
					if e.Progress != nil && e.Progress.Stage == "rebuild: "+stage {
						return cut
					}
					return nil
				})
				if !errors.Is(err, cut) {
					t.Fatal(err)
				}
				refusesOld(t, s)
			}
			if faults, _, sum = s.check(t, admin.CheckQuery{Repair: true}); !sum.Clean {
				t.Fatalf("%+v", faults)
			}
			if again, notes, sum := s.check(t, admin.CheckQuery{Deep: true}); !sum.Clean || len(again)+len(notes) > 0 {
				t.Fatalf("%+v %+v", again, notes)
			}

			n, stop = start(t, onSQLite(t, s.dir))
			must(t, n.queue.Sync(t.Context()))
			got := map[string][]string{}
			visit(t, n, func(box string, e *mailstore.Email) {
				r, err := n.store.Open(t.Context(), e)
				must(t, err)
				var b bytes.Buffer
				_, err = b.ReadFrom(r)
				must(t, err)
				subject := subjectOf(b.Bytes())
				got[box] = append(got[box], subject)
				if was, now := emails[subject], e.ID; strings.HasPrefix(subject, "new") && now <= was.ID || subject == "old2" && now != was.ID {
					t.Errorf("%s: EMAILID %d was %d", subject, now, was.ID)
				}
			})
			for _, list := range got {
				slices.Sort(list)
			}
			if want := "map[INBOX:[new1 new2 old1 old2] Later:[appended]]"; fmt.Sprint(got) != want {
				t.Errorf("%v, not %s", got, want)
			}
			k, after := inboxTalk(t, n)
			if before == after || !strings.HasPrefix(after, "* OK [UIDVALIDITY") {
				t.Errorf("UIDVALIDITY: %q, then %q", before, after)
			}
			k.say("c UID FETCH 1:* BODY.PEEK[TEXT]", "")
			texts := ""
			for line := ""; !strings.HasPrefix(line, "c OK"); texts += line + "\n" {
				line = k.line()
			}
			for _, subject := range []string{"old1", "old2", "new1", "new2"} {
				if strings.Count(texts, "the text of "+subject) != 1 {
					t.Errorf("%s: %s", subject, texts)
				}
			}
			list, err = n.queue.List(t.Context())
			must(t, err)
			if len(list) != 1 || list[0].State != "hold" {
				t.Errorf("queue: %+v", list)
			}
			mail(n, "afterwards")
			stop()
			_, stop = start(t, onSQLite(t, s.dir)) // and the next start is nothing special
			stop()
		})
	}
}

// Compaction has emptied a pack since the backup: the old database leads to a pack that is no more, and its messages stay
// where they are, with their flags, by the copies.
func TestDatabaseFromBeforeACompaction(t *testing.T) {
	s := newSample(t)
	putBack := keepDatabase(t, s.dir)
	n, stop := start(t, onSQLite(t, s.dir))
	must(t, send(t, n, "bob@here.example", "Subject: later\r\n\r\nx\r\n"))
	eventually(t, "delivery", func() bool { return readAll(t, n)["later"] != nil })
	s.mail["later"] = readAll(t, n)["later"]
	at, live := s.place["m0"].Ref.Pack, []recipe.BlobRef{}
	for _, e := range s.place {
		if e.Ref.Pack == at {
			live = append(live, e.Ref)
		}
	}
	_, err := n.blobs.Compact(t.Context(), live, blob.CompactOptions{})
	must(t, err)
	stop()
	must(t, os.Remove(s.pack("m0")))
	putBack()
	refusesOld(t, s)
	if faults, _, sum := s.check(t, admin.CheckQuery{Repair: true, Deep: true}); !sum.Clean || slices.Contains(kinds(faults), "email-no-record") {
		t.Fatalf("%+v", faults)
	}
	s.reads(t, nil)
}
