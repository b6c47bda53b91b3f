package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
)

// deadPack makes a sealed pack that nothing leads to.
func (a *aged) deadPack() {
	a.t.Helper()
	e, err := a.record(subjectText("dead") + "text\r\n")
	must(a.t, err)
	a.n.intake.Settled(e.Ref)
	a.restart()
}

// A disk that has no room for copies gets back what was condemned: that comes before the compaction that cannot be.
func TestFullDiskStillDeletes(t *testing.T) {
	a := newAged(t)
	addUser(t, a.n, "alice", "pw")
	_, err := a.put(a.account("alice"), inbox(), subjectText("kept")+strings.Repeat("text\r\n", 1000))
	must(t, err)
	a.deadPack()
	e, err := a.record(subjectText("dead") + "text\r\n")
	must(t, err)
	a.n.intake.Settled(e.Ref)
	a.restart()
	if s := a.upkeep(admin.UpkeepQuery{Sweep: true}); s.Condemned != 1 {
		t.Fatalf("sweep: %+v", s)
	}
	a.later(25 * time.Hour)
	a.n.upkeep.free = func() int64 { return 100 }
	s, err := a.n.upkeep.do(a.ctx(), a.n.Config(), admin.UpkeepQuery{Sweep: true, Compact: true, All: true, Now: true},
		func(admin.CheckProgress) error { return nil })
	if !errors.Is(err, status.ErrNoSpace) || s.Deleted != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A pack condemned by a clock that was years ahead goes a day after the right clock has seen it.
func TestPackCondemnedInTheFuture(t *testing.T) {
	a := newAged(t)
	a.deadPack()
	a.later(10 * 365 * 24 * time.Hour)
	if s := a.upkeep(admin.UpkeepQuery{Sweep: true}); s.Condemned != 1 {
		t.Fatalf("sweep: %+v", s)
	}
	a.later(-10 * 365 * 24 * time.Hour)
	a.restart()
	for _, step := range []struct {
		after   time.Duration
		deleted int64
	}{{0, 0}, {23 * time.Hour, 0}, {time.Hour, 1}} {
		a.later(step.after)
		if s := a.upkeep(admin.UpkeepQuery{Sweep: true}); s.Deleted != step.deleted {
			t.Errorf("%v later: %+v", step.after, s)
		}
	}
}

// A server that fills no pack gives back its space too: the pack being written is closed when it is old enough.
func TestQuietServerGivesSpaceBack(t *testing.T) {
	a := newAged(t, `store.keep_expunged = "0s"`)
	addUser(t, a.n, "alice", "pw")
	alice := a.account("alice")
	uid, err := a.put(alice, inbox(), subjectText("only")+"text\r\n")
	must(t, err)
	must(t, a.expunge(alice, inbox(), uid))
	a.upkeep(admin.UpkeepQuery{Sweep: true})
	if len(a.packs(blob.PackSealed)) != 0 {
		t.Error("the pack of a moment ago is closed already")
	}
	a.later(25 * time.Hour)
	condemned := int64(0)
	eventually(t, "the pack to be condemned", func() bool {
		condemned += a.upkeep(admin.UpkeepQuery{Sweep: true}).Condemned
		return condemned == 1
	})
	a.later(25 * time.Hour)
	if s := a.upkeep(admin.UpkeepQuery{Sweep: true}); s.Deleted != 1 {
		t.Errorf("a day later: %+v", s)
	}
	_, err = a.put(alice, inbox(), subjectText("next")+"text\r\n")
	must(t, err)
	a.clean()
}

// What stats says of the sealed packs adds up to their size, and a pack that cannot be looked at is not passed over in silence.
func TestStatsAddUp(t *testing.T) {
	a := newAged(t)
	addUser(t, a.n, "alice", "pw")
	alice := a.account("alice")
	for i := range 12 {
		uid, err := a.put(alice, inbox(), subjectText(fmt.Sprint(i))+strings.Repeat("text\r\n", 1000))
		must(t, err)
		if i%3 == 0 {
			must(t, a.expunge(alice, inbox(), uid))
		}
	}
	a.idle()
	sealed := a.packs(blob.PackSealed)
	must(t, os.Remove(filepath.Join(a.dir, "packs", fmt.Sprintf("%010d.pack", sealed[0]))))
	stats, err := a.n.API().StoreStats(a.ctx())
	must(t, err)
	for _, s := range stats.States {
		if s.State == "sealed" && stats.Live+stats.Dead != s.Bytes {
			t.Errorf("%d bytes needed and %d not needed of %d", stats.Live, stats.Dead, s.Bytes)
		}
	}
}

// A pack that was named and cannot be compacted is refused with the reason, and one that waits for its mail is counted.
func TestCompactNamedPack(t *testing.T) {
	a := newAged(t)
	e, err := a.record(subjectText("on its way") + "text\r\n")
	must(t, err)
	named := func(p int64) (s admin.UpkeepSummary, err error) {
		err = a.n.API().Upkeep(a.ctx(), admin.UpkeepQuery{Compact: true, Packs: []int64{p}, Now: true}, func(ev admin.UpkeepEvent) error {
			if ev.Summary != nil {
				s = *ev.Summary
			}
			return nil
		})
		return s, err
	}
	if _, err := named(e.Ref.Pack); admin.KindOf(err) != admin.InUse {
		t.Errorf("an open pack: %v", err)
	}
	must(t, a.n.blobs.SealOlder(a.ctx(), a.now().Add(time.Hour)))
	eventually(t, "the pack to be sealed", func() bool { return len(a.packs(blob.PackSealed)) > 0 })
	if s, err := named(e.Ref.Pack); err != nil || s.InUse != 1 {
		t.Errorf("a pack with mail on its way: %+v, %v", s, err)
	}
	a.n.intake.Settled(e.Ref)
}

// A pack that was looked at and is needed is looked at again once mail of it was let go.
func TestThinnedPackIsLookedAtAgain(t *testing.T) {
	for _, removal := range []bool{false, true} {
		a := newAged(t)
		a.pack = 8 << 20
		a.restart()
		addUser(t, a.n, "alice", "pw")
		addUser(t, a.n, "bob", "pw")
		for i := range 20 {
			_, err := a.put(a.account([]string{"alice", "bob", "bob", "bob"}[i%4]), inbox(), subjectText(fmt.Sprint(i))+strings.Repeat("text\r\n", 20<<10))
			must(t, err)
		}
		a.idle()
		a.later(25 * time.Hour)
		whole := admin.UpkeepQuery{Sweep: true, Compact: true}
		if s := a.upkeep(whole); s.Compacted != 0 || len(a.n.upkeep.full) != 1 {
			t.Fatalf("a pack that is needed: %+v, %v", s, a.n.upkeep.full)
		}
		if removal {
			must(t, a.n.API().RemoveAccount(t.Context(), "bob@here.example"))
		} else {
			for uid := uint32(1); uid <= 15; uid++ {
				must(t, a.expunge(a.account("bob"), inbox(), uid))
			}
		}
		if s := a.upkeep(whole); s.Compacted != 0 || len(a.n.upkeep.full) != 1 {
			t.Fatalf("before its time: %+v, %v", s, a.n.upkeep.full)
		}
		a.later(8 * 24 * time.Hour)
		if s := a.upkeep(whole); s.Compacted != 1 || s.Records != 5 || s.Condemned != 1 || s.Freed < 15*100<<10 {
			t.Errorf("thinned: %+v", s)
		}
		if len(readAll(t, a.n)) != 5 {
			t.Error("messages are lost")
		}
		a.clean()
	}
}

// Jobs get their rows, are held, released and deleted while packs are sealed, condemned, compacted and, days passing, deleted:
// every job that is left has its message.
func TestUpkeepRacesWithTheQueue(t *testing.T) {
	a := newAged(t)
	a.pack = 1 << 10 // every message a pack or two
	a.restart()
	done := make(chan struct{})
	var rounds, work sync.WaitGroup
	rounds.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			a.later(25 * time.Hour)
			if err := a.n.blobs.SealOlder(a.ctx(), a.now()); err != nil {
				t.Error(err)
			}
			if _, err := a.n.upkeep.do(a.ctx(), a.n.Config(), admin.UpkeepQuery{Sweep: true, Compact: true, All: true, Now: true},
				func(admin.CheckProgress) error { return nil }); err != nil {
				t.Error(err)
			}
		}
	})
	for range 2 {
		work.Go(func() {
			for range 10 {
				queueMessage(t, a.n)
			}
		})
	}
	work.Wait()
	for i, id := range queueIDs(t, a.n) {
		must(t, errors.Join(a.n.queue.Hold(id, false), a.n.queue.Hold(id, true)))
		if i < 10 { // every other one could leave one in each pack
			must(t, a.n.queue.Delete(a.ctx(), id))
		}
	}
	must(t, a.n.queue.Sync(a.ctx()))
	eventually(t, "a pack to be deleted", func() bool { return len(a.packs(blob.PackGone)) > 0 })
	close(done)
	rounds.Wait()
	a.restart()
	a.clean() // it reads the messages of all jobs
	if jobs := queueIDs(t, a.n); len(jobs) != 10 {
		t.Errorf("%d jobs are left", len(jobs))
	}
}

// A file that cannot be removed is told, and the rest of the round does not wait for it, nor the other files after it.
func TestDeletionThatFailsEndsNothingElse(t *testing.T) {
	a := newAged(t)
	addUser(t, a.n, "alice", "pw")
	_, err := a.put(a.account("alice"), inbox(), subjectText("kept")+"text\r\n")
	must(t, err)
	a.restart()
	a.deadPack()
	a.deadPack()
	a.restart()
	a.upkeep(admin.UpkeepQuery{Sweep: true})
	condemned := a.packs(blob.PackCondemned)
	if len(condemned) != 2 {
		t.Fatalf("condemned: %v", condemned)
	}
	name := filepath.Join(a.dir, "packs", fmt.Sprintf("%010d.pack", condemned[0]))
	must(t, errors.Join(os.Remove(name), os.MkdirAll(filepath.Join(name, "x"), 0o700)))
	a.later(25 * time.Hour)
	s, err := a.n.upkeep.do(a.ctx(), a.n.Config(), admin.UpkeepQuery{Sweep: true, Compact: true, All: true, Now: true},
		func(admin.CheckProgress) error { return nil })
	if err == nil || s.Compacted != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if s := a.upkeep(admin.UpkeepQuery{Sweep: true}); s.Deleted != 1 {
		t.Errorf("the next round: %+v", s)
	}
	must(t, os.RemoveAll(name))
	a.restart()
	a.clean()
}
