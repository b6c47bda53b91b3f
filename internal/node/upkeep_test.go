package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// aged is a node with small packs whose clock the test moves.
type aged struct {
	t    *testing.T
	n    *Node
	dir  string
	sets []string
	pack int64        // size of packs
	at   atomic.Int64 // microseconds since 1970
}

func newAged(t *testing.T, sets ...string) *aged {
	a := &aged{t: t, dir: t.TempDir(), sets: sets, pack: 32 << 10}
	a.at.Store(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	a.open()
	t.Cleanup(func() { a.close() })
	return a
}

func (a *aged) now() time.Time          { return time.UnixMicro(a.at.Load()) }
func (a *aged) later(d time.Duration)   { a.at.Add(d.Microseconds()) }
func (a *aged) ctx() context.Context    { return a.t.Context() }
func (a *aged) account(s string) int64  { return accountID(a.t, a.n, s) }
func (a *aged) close()                  { must(a.t, a.n.Stop(context.Background())) }
func (a *aged) restart()                { a.close(); a.open() }
func inbox() mailstore.Name             { return mailstore.Inbox() }
func archive() mailstore.Name           { return mailstore.Name{"Archive"} }
func subjectText(subject string) string { return "Subject: " + subject + "\r\n\r\n" }

func (a *aged) open() {
	a.t.Helper()
	n, err := Open(context.Background(), Options{Config: testConfig(a.t, a.dir, a.sets...), Log: testLog(a.t), Version: "test", Now: a.now,
		Sizes: Sizes{Pack: a.pack, Fill: -1}})
	must(a.t, err)
	must(a.t, n.Load(context.Background()))
	a.n = n
	n.upkeep.passed = func() time.Duration { return a.now().Sub(time.Unix(0, 0)) } // the clock is right
}

func accountID(t testing.TB, n *Node, local string) int64 {
	t.Helper()
	acc, err := n.directory.Account(t.Context(), mustAddress(t, local+"@here.example"))
	must(t, err)
	return acc.ID
}

// record makes a record durable that nothing refers to yet.
func (a *aged) record(text string) (mailstore.NewEmail, error) {
	m, err := a.n.intake.Begin(a.ctx(), a.n.ids.Next(), int64(len(text)))
	if err != nil {
		return mailstore.NewEmail{}, err
	}
	defer m.Abort()
	if _, err := io.WriteString(m, text); err != nil {
		return mailstore.NewEmail{}, err
	}
	m.Close()
	structure := m.Index.Encode()
	ref, err := m.Store(a.ctx(), &flow.Append{ID: a.n.ids.Next(), Mailbox: inbox(), InternalDate: a.now(), Message: recipe.Whole(m.Self()), Index: structure})
	return mailstore.NewEmail{Ref: ref, Size: int64(len(text)), Received: a.now(), Structure: structure}, err
}

// put appends a message to a mailbox, as IMAP does.
func (a *aged) put(account int64, box mailstore.Name, text string) (uint32, error) {
	e, err := a.record(text)
	if err != nil {
		return 0, err
	}
	defer a.n.intake.Settled(e.Ref)
	_, uids, err := a.n.store.Append(a.ctx(), &mailstore.Append{Account: account, Mailbox: box, Messages: []mailstore.NewEntry{{Email: e}}})
	if err != nil {
		return 0, err
	}
	return uids[0], nil
}

func (a *aged) upkeep(q admin.UpkeepQuery) admin.UpkeepSummary {
	a.t.Helper()
	q.Now = true
	sum, err := a.n.upkeep.do(a.ctx(), a.n.Config(), q, func(admin.CheckProgress) error { return nil })
	must(a.t, err)
	return sum
}

// packs are the numbers of packs in a state.
func (a *aged) packs(state blob.State) (list []int64) {
	a.t.Helper()
	rows, err := a.n.upkeep.catalog.List(a.ctx(), 0, state)
	must(a.t, err)
	for _, r := range rows {
		list = append(list, r.Pack)
	}
	return list
}

// idle is a reopened node: every pack with records is sealed.
func (a *aged) idle() { a.restart(); a.restart() }

// clean fails the test unless a deep check finds nothing.
func (a *aged) clean() {
	a.t.Helper()
	must(a.t, a.n.API().Check(a.ctx(), admin.CheckQuery{Deep: true}, func(e admin.CheckEvent) error {
		if e.Fault != nil {
			a.t.Errorf("check: %+v", *e.Fault)
		}
		return nil
	}))
}

func (a *aged) uids(account int64, box mailstore.Name) (uids []uint32) {
	a.t.Helper()
	m, err := a.n.store.Mailbox(a.ctx(), account, box)
	must(a.t, err)
	_, err = a.n.store.Snapshot(a.ctx(), account, m.ID, func(e mailstore.Entry) { uids = append(uids, e.UID) })
	must(a.t, err)
	return uids
}

func (a *aged) expunge(account int64, box mailstore.Name, uid uint32) error {
	m, err := a.n.store.Mailbox(a.ctx(), account, box)
	if err == nil {
		_, err = a.n.store.Remove(a.ctx(), account, m.ID, []mailstore.Range{{First: uid, Last: uid}}, "test")
	}
	return err
}

// A message's space comes back: a week after it was expunged, and a day after its pack was compacted. Until then who has
// read where it is reads it there.
func TestSpaceComesBack(t *testing.T) {
	a := newAged(t)
	addUser(t, a.n, "alice", "pw")
	alice := a.account("alice")
	body := strings.Repeat("a line of text\r\n", 100)
	for i := range 40 {
		_, err := a.put(alice, inbox(), subjectText(fmt.Sprint("n", i))+body)
		must(t, err)
	}
	a.idle()
	old := emailsOf(t, a.n)
	packs := a.packs(blob.PackSealed)
	if len(packs) < 2 {
		t.Fatalf("packs %v: too few for this test", packs)
	}
	for uid := uint32(1); uid <= 40; uid++ {
		if uid%4 != 0 {
			must(t, a.expunge(alice, inbox(), uid))
		}
	}
	a.later(6 * 24 * time.Hour)
	if s := a.upkeep(admin.UpkeepQuery{Sweep: true, Compact: true, All: true}); s.Let != 0 || s.Records != 40 {
		t.Fatalf("before a week is over: %+v", s)
	}
	a.later(24 * time.Hour)
	s := a.upkeep(admin.UpkeepQuery{Sweep: true})
	if s.Let != 30 || s.Deleted != int64(len(packs)) {
		t.Fatalf("after a week: %+v", s)
	}
	moved := emailsOf(t, a.n)
	stats, err := a.n.API().StoreStats(a.ctx())
	must(t, err)
	if stats.Dead < stats.Live || stats.Tombstones != 30 || stats.Expunged != 0 {
		t.Errorf("stats: %+v", stats)
	}
	copied := a.packs(blob.PackSealed)
	if s = a.upkeep(admin.UpkeepQuery{Compact: true, Packs: copied}); s.Records != 10 || s.Condemned != int64(len(copied)) {
		t.Fatalf("compaction: %+v", s)
	}
	for _, step := range []struct {
		after time.Duration
		reads bool
	}{{0, true}, {23 * time.Hour, true}, {time.Hour, false}} {
		a.later(step.after)
		a.upkeep(admin.UpkeepQuery{Sweep: true})
		for subject, e := range moved {
			if _, err := a.n.store.Open(a.ctx(), &e); (err == nil) != step.reads {
				t.Fatalf("%s by its old place: %v", subject, err)
			}
		}
	}
	if e := old["n0"]; e.Ref.IsZero() {
		t.Error("the sample lacks its first message")
	}
	if got := readAll(t, a.n); len(got) != 10 {
		t.Errorf("%d messages are left", len(got))
	}
	a.clean()
}

// What lies in a pack that is condemned can be referred to no more, by nobody, and a reference that came first keeps it.
func TestCondemnedPackTakesNoReference(t *testing.T) {
	a := newAged(t)
	addUser(t, a.n, "alice", "pw")
	alice := a.account("alice")
	e, err := a.record(subjectText("early") + "text\r\n")
	must(t, err)
	a.restart() // sealed; the record waits for its replay, which settles it
	must(t, a.n.blobs.FlushSettled(a.ctx()))
	if got := a.packs(blob.PackSealed); !slices.Contains(got, e.Ref.Pack) {
		a.restart()
	}
	if s := a.upkeep(admin.UpkeepQuery{Sweep: true}); s.Condemned != 1 {
		t.Fatalf("sweep: %+v", s)
	}
	_, _, err = a.n.store.Append(a.ctx(), &mailstore.Append{Account: alice, Mailbox: inbox(), Messages: []mailstore.NewEntry{{Email: e}}})
	if !errors.Is(err, blob.ErrCondemned) {
		t.Errorf("APPEND: %v", err)
	}
	each, err := a.n.store.Deliver(a.ctx(), []mailstore.Delivery{{QueueID: a.n.ids.Next(), Account: alice, Email: e}})
	if !errors.Is(errors.Join(append(each, err)...), blob.ErrCondemned) {
		t.Errorf("delivery: %v, %v", each, err)
	}
	if _, err = a.n.store.MoveReferences(a.ctx(), []mailstore.Moved{{To: e.Ref}}); !errors.Is(err, blob.ErrCondemned) {
		t.Errorf("compaction into it: %v", err)
	}
	a.clean()
}

// Packs that the queue needs are left alone, and so are records that are on their way.
func TestUpkeepLeavesMailOnItsWayAlone(t *testing.T) {
	a := newAged(t)
	queueMessage(t, a.n)
	a.restart()
	e, err := a.record(subjectText("on its way") + "text\r\n") // no reference yet, and not settled
	must(t, err)
	s := a.upkeep(admin.UpkeepQuery{Sweep: true, Compact: true, All: true})
	if s.Condemned+s.Compacted != 0 || s.InUse != 1 {
		t.Errorf("round: %+v", s)
	}
	if err := a.n.blobs.Condemn(a.ctx(), e.Ref.Pack); !errors.Is(err, blob.ErrInUse) {
		t.Errorf("condemning a pack with a Put in flight: %v", err)
	}
	a.n.intake.Settled(e.Ref)
	a.clean()
}

// A pack condemned by a clock that was set back, or not set yet, is kept for a day by the right one.
func TestClockSetBackDeletesNothingEarly(t *testing.T) {
	a := newAged(t)
	dead := func() {
		e, err := a.record(subjectText("dead") + strings.Repeat("text\r\n", 8<<10))
		must(t, err)
		a.n.intake.Settled(e.Ref)
		_, err = a.put(1, inbox(), subjectText("next")+"text\r\n") // the next pack
		must(t, err)
		must(t, a.n.blobs.FlushSettled(a.ctx()))
	}
	sweep := func(what string, condemned, deleted int64) {
		t.Helper()
		if s := a.upkeep(admin.UpkeepQuery{Sweep: true}); s.Condemned != condemned || s.Deleted != deleted {
			t.Errorf("%s: %+v", what, s)
		}
	}
	passed := time.Duration(0)
	a.n.upkeep.passed = func() time.Duration { return passed }
	a.n.upkeep.clock = clockCheck{}
	sweep("at first", 0, 0)
	dead()
	eventually(t, "the pack to be sealed", func() bool { return len(a.packs(blob.PackSealed)) > 0 })
	a.later(-10 * 24 * time.Hour)
	sweep("behind", 1, 0)
	a.later(10 * 24 * time.Hour)
	sweep("right again", 0, 0)
	a.later(23 * time.Hour)
	passed += 23 * time.Hour
	sweep("23 hours later", 0, 0)
	a.later(time.Hour)
	passed += time.Hour
	sweep("a day later", 0, 1)
}

// A full disk ends a compaction with its reason; nothing is moved, nothing is condemned, and the next one does it.
func TestCompactionOnAFullDisk(t *testing.T) {
	a := newAged(t)
	addUser(t, a.n, "alice", "pw")
	for i := range 5 {
		_, err := a.put(a.account("alice"), inbox(), subjectText(fmt.Sprint(i))+strings.Repeat("text\r\n", 1000))
		must(t, err)
	}
	a.idle()
	a.n.upkeep.free = func() int64 { return 100 }
	_, err := a.n.upkeep.do(a.ctx(), a.n.Config(), admin.UpkeepQuery{Compact: true, All: true}, func(admin.CheckProgress) error { return nil })
	if !errors.Is(err, status.ErrNoSpace) || len(a.packs(blob.PackCondemned)) != 0 {
		t.Fatalf("%v; condemned: %v", err, a.packs(blob.PackCondemned))
	}
	a.n.upkeep.free = a.n.space.free
	if s := a.upkeep(admin.UpkeepQuery{Compact: true, All: true}); s.Records != 5 || len(readAll(t, a.n)) != 5 {
		t.Errorf("with room again: %+v", s)
	}
	a.clean()
}

// COPY, APPEND, expunges and reads race with sweeps and compactions of everything: every message that is left reads byte for
// byte at any moment, by the place read before too.
func TestUpkeepRaces(t *testing.T) {
	a := newAged(t, `store.keep_expunged = "0s"`)
	addUser(t, a.n, "alice", "pw")
	alice := a.account("alice")
	var work, sweeping sync.WaitGroup
	done := make(chan struct{})
	errs := make(chan error, 100)
	report := func(err error) {
		if err != nil {
			select {
			case errs <- err:
			default:
			}
		}
	}
	text := func(subject string) string {
		return subjectText(subject) + strings.Repeat("line of "+subject+"\r\n", 100+len(subject)*7)
	}
	for w := range 2 {
		work.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range 25 {
				uid, err := a.put(alice, inbox(), text(fmt.Sprintf("w%d-%d", w, i)))
				report(err)
				m, err := a.n.store.Mailbox(a.ctx(), alice, inbox())
				report(err)
				_, _, err = a.n.store.Copy(a.ctx(), alice, m.ID, []mailstore.Range{{First: uid, Last: uid}}, archive())
				report(err)
				if r.IntN(3) > 0 {
					report(a.expunge(alice, inbox(), uid))
				}
				if r.IntN(2) > 0 {
					report(a.expunge(alice, archive(), r.Uint32N(uid+1)+1))
				}
			}
		})
	}
	for w := range 2 {
		sweeping.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 2))
			for {
				select {
				case <-done:
					return
				default:
				}
				uid := r.Uint32N(50) + 1
				report(a.readOne(alice, uid, text))
			}
		})
	}
	sweeping.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			_, err := a.n.upkeep.do(a.ctx(), a.n.Config(), admin.UpkeepQuery{Sweep: true, Compact: true, All: true, Now: true},
				func(admin.CheckProgress) error { return nil })
			report(err)
		}
	})
	work.Wait()
	close(done)
	sweeping.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	for subject, b := range readAll(t, a.n) {
		if string(b) != text(subject) {
			t.Errorf("%s is not what it was", subject)
		}
	}
	a.clean()
	a.nothingDead()
}

// readOne reads one message of the Archive, if it is there, a while after its place was read.
func (a *aged) readOne(account int64, uid uint32, text func(string) string) error {
	m, err := a.n.store.Mailbox(a.ctx(), account, archive())
	if err != nil {
		return err
	}
	list, err := a.n.store.Entries(a.ctx(), account, m.ID, []mailstore.Range{{First: uid, Last: uid}})
	if err != nil || len(list) == 0 {
		return err
	}
	var e mailstore.Email
	found := false
	err = a.n.store.Emails(a.ctx(), account, []int64{list[0].Email}, func(x *mailstore.Email) error {
		e, found = *x, true
		e.Literals, e.Structure = slices.Clone(x.Literals), nil
		return nil
	})
	if err != nil || !found {
		return err
	}
	// Meanwhile the record may move, and the old pack be condemned.
	if _, err := a.n.store.Usage(a.ctx(), account); err != nil {
		return err
	}
	r, err := a.n.store.Open(a.ctx(), &e)
	if err != nil {
		return fmt.Errorf("UID %d at %+v: %w", uid, e.Ref, err)
	}
	b, err := io.ReadAll(r)
	if err == nil && string(b) != text(subjectOf(b)) {
		err = fmt.Errorf("UID %d at %+v is not what it was", uid, e.Ref)
	}
	return err
}

// nothingDead lets every time run out, and fails the test if a pack is left that nobody needs, or bytes in one that is.
func (a *aged) nothingDead() {
	a.t.Helper()
	a.idle()
	for range 3 {
		a.later(100 * 24 * time.Hour)
		a.upkeep(admin.UpkeepQuery{Sweep: true, Compact: true, All: true})
	}
	a.later(25 * time.Hour)
	a.upkeep(admin.UpkeepQuery{Sweep: true})
	stats, err := a.n.API().StoreStats(a.ctx())
	must(a.t, err)
	if stats.Dead != 0 || stats.Tombstones != 0 || stats.Removed != 0 {
		a.t.Errorf("left over: %+v", stats)
	}
	want := len(a.packs(blob.PackOpen)) + len(a.packs(blob.PackSealed)) + len(a.packs(blob.PackCondemned))
	files, err := os.ReadDir(filepath.Join(a.dir, "packs"))
	must(a.t, err)
	if len(files) != want {
		a.t.Errorf("%d files of packs, %d packs", len(files), want)
	}
	for _, p := range a.packs(blob.PackSealed) {
		used := false
		must(a.t, a.n.db.Read(a.ctx(), func(tx *db.Tx) (err error) { used, err = mailstore.RefersTo(tx, p); return err }))
		if !used {
			a.t.Errorf("pack %d is needed by nobody and still there", p)
		}
	}
	a.clean()
}

// Random appends, copies, moves, expunges, removed accounts, rounds, restarts and passing days against a simple model: in
// the end every living message reads byte for byte, and every pack that nobody needs is gone.
func TestUpkeepAgreesWithModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	a := newAged(t)
	type where struct {
		account int64
		box     string
	}
	living := map[where]map[uint32]string{} // text by UID
	people := []string{"alice", "bob"}
	join := func(name string) {
		addUser(t, a.n, name, "pw")
		for _, b := range []string{"INBOX", "Archive"} {
			living[where{a.account(name), b}] = map[uint32]string{}
		}
	}
	for _, p := range people {
		join(p)
	}
	boxes := map[string]mailstore.Name{"INBOX": inbox(), "Archive": archive()}
	pick := func() (where, uint32, mailstore.Mailbox) {
		w := where{a.account(people[r.IntN(len(people))]), []string{"INBOX", "Archive"}[r.IntN(2)]}
		m, err := a.n.store.Mailbox(t.Context(), w.account, boxes[w.box])
		must(t, err)
		uids := a.uids(w.account, boxes[w.box])
		if len(uids) == 0 {
			return w, 0, m
		}
		return w, uids[r.IntN(len(uids))], m
	}
	n := 0
	for range 160 {
		w, uid, m := pick()
		other := map[string]string{"INBOX": "Archive", "Archive": "INBOX"}[w.box]
		one := []mailstore.Range{{First: uid, Last: uid}}
		switch k := r.IntN(20); {
		case k < 8 || uid == 0 && k < 16:
			n++
			text := subjectText(fmt.Sprint("m", n)) + strings.Repeat(fmt.Sprintf("line of %d\r\n", n), r.IntN(800))
			uid, err := a.put(w.account, boxes[w.box], text)
			must(t, err)
			living[w][uid] = text
		case k < 10:
			_, placed, err := a.n.store.Copy(t.Context(), w.account, m.ID, one, boxes[other])
			must(t, err)
			living[where{w.account, other}][placed[0].To] = living[w][uid]
		case k < 12:
			_, placed, err := a.n.store.Move(t.Context(), w.account, m.ID, one, boxes[other], "test")
			must(t, err)
			living[where{w.account, other}][placed[0].To] = living[w][uid]
			delete(living[w], uid)
		case k < 16:
			must(t, a.expunge(w.account, boxes[w.box], uid))
			delete(living[w], uid)
		case k == 16:
			a.upkeep(admin.UpkeepQuery{Sweep: true, Compact: true, All: r.IntN(2) == 0})
		case k == 17:
			a.later(time.Duration(r.IntN(15*24)) * time.Hour)
		case k == 18 && r.IntN(4) == 0:
			a.restart()
		case k == 19 && r.IntN(4) == 0: // bob goes, somebody else comes
			gone := a.account(people[1])
			must(t, a.n.API().RemoveAccount(t.Context(), people[1]+"@here.example"))
			delete(living, where{gone, "INBOX"})
			delete(living, where{gone, "Archive"})
			n++
			people[1] = fmt.Sprint("bob", n)
			join(people[1])
		}
	}
	a.nothingDead()
	for w, texts := range living {
		m, err := a.n.store.Mailbox(t.Context(), w.account, boxes[w.box])
		must(t, err)
		if got := a.uids(w.account, boxes[w.box]); len(got) != len(texts) {
			t.Errorf("%+v has %d messages, not %d", w, len(got), len(texts))
		}
		for uid, text := range texts {
			list, err := a.n.store.Entries(t.Context(), w.account, m.ID, []mailstore.Range{{First: uid, Last: uid}})
			must(t, err)
			if len(list) != 1 {
				t.Fatalf("%+v, UID %d is gone", w, uid)
			}
			must(t, a.n.store.Emails(t.Context(), w.account, []int64{list[0].Email}, func(e *mailstore.Email) error {
				o, err := a.n.store.Open(t.Context(), e)
				if err != nil {
					return err
				}
				if b, err := io.ReadAll(o); err != nil || string(b) != text {
					return fmt.Errorf("%+v, UID %d: %d bytes of %d, %w", w, uid, len(b), len(text), err)
				}
				return nil
			}))
		}
	}
}

// A crash in the middle of a removal leaves the account as it was, or removed: the next start sees to it.
func TestRemovalThatWasBegun(t *testing.T) {
	a := newAged(t)
	addUser(t, a.n, "alice", "pw")
	addUser(t, a.n, "bob", "pw")
	alice, bob := a.account("alice"), a.account("bob")
	must(t, a.n.store.WillRemove(a.ctx(), alice))
	must(t, a.n.store.WillRemove(a.ctx(), bob))
	_, err := a.n.directory.RemoveAccount(a.ctx(), mustAddress(t, "bob@here.example"))
	must(t, err)
	a.restart()
	removed, err := a.n.store.Removed(a.ctx())
	must(t, err)
	removing, err := a.n.store.Removing(a.ctx())
	must(t, err)
	if !slices.Equal(removed, []int64{bob}) || len(removing) != 0 {
		t.Errorf("removed: %v; still being removed: %v", removed, removing)
	}
	_, err = a.put(alice, inbox(), subjectText("still here")+"text\r\n")
	must(t, err)
	a.clean()
}

// Who reads the mail of an account that is removed is sent away.
func TestRemovalEndsSessions(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "pw")
	reader := login(t, n, "alice@here.example", "pw")
	must(t, n.API().RemoveAccount(t.Context(), "alice@here.example"))
	eventually(t, "the session to end", func() bool { return reader.Noop().Wait() != nil })
}

// The server makes rounds by itself, as soon as a reload says so.
func TestRoundsInTheBackground(t *testing.T) {
	dir := t.TempDir()
	n, _ := start(t, testConfig(t, dir, `store.upkeep = false`, `store.keep_expunged = "0s"`))
	addUser(t, n, "alice", "pw")
	a := &aged{t: t, n: n}
	alice := a.account("alice")
	a.at.Store(time.Now().UnixMicro())
	uid, err := a.put(alice, inbox(), subjectText("short")+"text\r\n")
	must(t, err)
	must(t, a.expunge(alice, inbox(), uid))
	_, err = n.Reload(testConfig(t, dir, `store.upkeep_interval = "1s"`, `store.keep_expunged = "0s"`))
	must(t, err)
	eventually(t, "the message to be let go of", func() bool {
		left, err := n.store.Leftovers(t.Context())
		must(t, err)
		return left.Kept == 0
	})
}
