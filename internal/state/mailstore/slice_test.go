package mailstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// A change of more messages than one transaction takes: all are changed, each once, those that come meanwhile are not, and
// other sessions hear of all of it.
func TestLargeChangesGoInSlices(t *testing.T) {
	const n = 1201
	all := []mailstore.Range{{First: 1, Last: 100}, {First: 101, Last: 500}, {First: 502, Last: 1<<32 - 1}}
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		ctx := context.Background()
		mailstore.SetSlice(s, 500)
		deliver(t, s, p, n)
		inbox := box(t, s, mailstore.Inbox())
		gone := 0
		defer s.Watch(me, inbox.ID, func(c mailstore.Change) { gone += len(c.Expunged) })()
		changed, kept, err := s.StoreFlags(ctx, me, inbox.ID, all, mailstore.FlagChange{Flags: mailstore.Seen})
		if err != nil || len(changed) != n-1 || len(kept) != 0 || box(t, s, mailstore.Inbox()).Unseen != 1 {
			t.Fatalf("changed %d, kept %v: %v", len(changed), kept, err)
		}
		_, kept, err = s.StoreFlags(ctx, me, inbox.ID, all, mailstore.FlagChange{Flags: mailstore.Flagged, Conditional: true,
			UnchangedSince: changed[0].ModSeq})
		if err != nil || len(kept) != n-1-500 {
			t.Fatalf("kept %d: %v", len(kept), err)
		}
		to := name(t, "Archive")
		_, pairs, err := s.Move(ctx, me, inbox.ID, all, to, "test")
		if err != nil || len(pairs) != n-1 || gone != n-1 {
			t.Fatalf("moved %d, heard of %d: %v", len(pairs), gone, err)
		}
		for i := range pairs {
			if want := uint32(i + 1); pairs[i].To != want || i < 500 && pairs[i].From != want || i >= 500 && pairs[i].From != want+1 {
				t.Fatalf("pair %d: %v", i, pairs[i])
			}
		}
		if left := entries(t, s, mailstore.Inbox()); len(left) != 1 || left[0].UID != 501 {
			t.Fatalf("left: %v", left)
		}
		archive := box(t, s, to)
		// Onto itself: each once, and it ends.
		if _, pairs, err = s.Move(ctx, me, archive.ID, []mailstore.Range{{First: 1, Last: 1<<32 - 1}}, to, "test"); err != nil || len(pairs) != n-1 {
			t.Fatalf("moved onto itself: %d, %v", len(pairs), err)
		}
		uids, err := s.Remove(ctx, me, archive.ID, []mailstore.Range{{First: 1, Last: n - 1 + 600}}, "test")
		if err != nil || len(uids) != 600 || uids[0] != n || box(t, s, to).Messages != n-1-600 {
			t.Fatalf("removed %d: %v", len(uids), err)
		}
		if err := s.DeleteMailbox(ctx, me, to, "test"); err != nil {
			t.Fatal(err)
		}
		u, err := s.Usage(ctx, me)
		if _, missing := s.Mailbox(ctx, me, to); missing != mailstore.ErrNoMailbox || err != nil || u.Messages != 1 {
			t.Fatalf("%v, %+v, %v", missing, u, err)
		}
	})
}

// between is a context that does something when the second transaction of a call is about to begin.
type between struct {
	context.Context
	asked int
	do    func()
}

func (b *between) Err() error {
	if b.asked++; b.asked == 2 {
		b.do()
	}
	return nil
}

// A mailbox that takes the name of one on its way to be deleted is another: nothing of it goes.
func TestDeleteKeepsToItsMailbox(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		mailstore.SetSlice(s, 2)
		deliver(t, s, p, 4)
		inbox, trash, kept := box(t, s, mailstore.Inbox()), name(t, "Trash"), name(t, "Kept")
		if _, _, err := s.Move(t.Context(), me, inbox.ID, []mailstore.Range{{First: 1, Last: 4}}, trash, "test"); err != nil {
			t.Fatal(err)
		}
		ctx := &between{Context: t.Context(), do: func() {
			if err := s.RenameMailbox(t.Context(), me, trash, kept, "test"); err != nil {
				t.Error(err)
			}
			if _, err := s.CreateMailbox(t.Context(), me, trash, ""); err != nil {
				t.Error(err)
			}
			deliver(t, s, p, 1)
			if _, _, err := s.Move(t.Context(), me, inbox.ID, []mailstore.Range{{First: 1, Last: 5}}, trash, "test"); err != nil {
				t.Error(err)
			}
		}}
		if err := s.DeleteMailbox(ctx, me, trash, "test"); err != mailstore.ErrNoMailbox {
			t.Errorf("deleted: %v", err)
		}
		if n := len(entries(t, s, trash)); n != 1 {
			t.Errorf("%d in the new mailbox", n)
		}
		if n := len(entries(t, s, kept)); n != 2 {
			t.Errorf("%d in the one that was renamed", n)
		}
	})
}

// One delivery that cannot be made costs the others a few transactions more, not one for each of them.
func TestOneBadDeliveryAmongMany(t *testing.T) {
	const n, bad = 500, 377
	p, file := packs{}, dbtest.Open(t)
	refused := errors.New("refused")
	s := mailstore.New(mailstore.Options{DB: file, Blobs: p, Referable: func(_ *db.Tx, pack int64) error {
		if pack == bad+1 {
			return refused
		}
		return nil
	}})
	for account := range int64(3) {
		if err := s.CreateAccount(t.Context(), me+account); err != nil {
			t.Fatal(err)
		}
	}
	ds := make([]mailstore.Delivery, n)
	for i := range ds {
		ds[i] = mailstore.Delivery{QueueID: queueid.New(int64(i/2+1), 1), Recipient: i % 2, Account: me + int64(i%4), Email: p.put("x\r\n")} // me+3 is nobody
	}
	before := file.Stats().Writes
	got, err := s.Deliver(t.Context(), ds)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range got {
		want := error(nil)
		if i == bad {
			want = refused
		} else if i%4 == 3 {
			want = mailstore.ErrNoAccount
		}
		if !errors.Is(err, want) {
			t.Errorf("delivery %d: %v, want %v", i, err, want)
		}
	}
	if writes := file.Stats().Writes - before; writes > 20 {
		t.Errorf("%d transactions", writes)
	}
	u, err := s.Usage(t.Context(), me+bad%4)
	if err != nil || u.Messages != n/4-1 {
		t.Errorf("%+v, %v", u, err)
	}
	last := entries(t, s, mailstore.Inbox())
	for i, e := range last { // who came first has the lower UID
		if e.UID != uint32(i+1) || e.Email != int64(i+1) {
			t.Fatalf("entry %d: %+v", i, e)
		}
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// Changes in slices beside deliveries, copies and each other: no message is lost or there twice, the counters are right (each
// looks), and who hears of the changes in their order knows what is there.
func TestSlicesBesideOthers(t *testing.T) {
	const mails = 120
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		ctx := t.Context()
		mailstore.SetSlice(s, 7)
		boxes := []mailstore.Mailbox{box(t, s, mailstore.Inbox()), box(t, s, name(t, "Archive"))}
		heard := [2]map[uint32]mailstore.Entry{{}, {}}
		last := [2]int64{}
		for i := range boxes {
			defer s.Watch(me, boxes[i].ID, func(c mailstore.Change) {
				if c.ModSeq < last[i] {
					t.Errorf("change %d after %d", c.ModSeq, last[i])
				}
				last[i] = c.ModSeq
				for _, e := range c.Entries {
					heard[i][e.UID] = e
				}
				for _, uid := range c.Expunged {
					delete(heard[i], uid)
				}
			})()
		}
		all := []mailstore.Range{{First: 1, Last: 1<<32 - 1}}
		var delivering, others sync.WaitGroup
		delivering.Go(func() { deliver(t, s, p, mails) })
		stop := make(chan struct{})
		for i := range 2 {
			from, to := boxes[i], boxes[1-i]
			others.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					_, _, err := s.Move(ctx, me, from.ID, all, to.Name, "test")
					if err == nil {
						_, _, err = s.StoreFlags(ctx, me, to.ID, all, mailstore.FlagChange{Op: mailstore.FlagOp(n % 2), Flags: mailstore.Seen, Keywords: "k"})
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		delivering.Wait()
		close(stop)
		others.Wait()
		emails := map[int64]bool{}
		for i := range boxes {
			list := entries(t, s, boxes[i].Name)
			if len(list) != len(heard[i]) {
				t.Errorf("%d entries, heard of %d", len(list), len(heard[i]))
			}
			for _, e := range list {
				if emails[e.Email] || heard[i][e.UID] != e {
					t.Errorf("email %d, before: %v; heard %+v, have %+v", e.Email, emails[e.Email], heard[i][e.UID], e)
				}
				emails[e.Email] = true
			}
		}
		if len(emails) != mails {
			t.Errorf("%d messages of %d", len(emails), mails)
		}
	})
}

// Ranges in which nothing is left are looked at in slices too: each is a query.
func TestEmptyRangesGoInSlices(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		mailstore.SetSlice(s, 2)
		deliver(t, s, p, 9)
		inbox := box(t, s, mailstore.Inbox())
		if _, err := s.Remove(t.Context(), me, inbox.ID, []mailstore.Range{{First: 1, Last: 8}}, "test"); err != nil {
			t.Fatal(err)
		}
		var gone []mailstore.Range
		for uid := uint32(1); uid < 9; uid += 2 {
			gone = append(gone, mailstore.Range{First: uid, Last: uid})
		}
		gone = append(gone, mailstore.Range{First: 9, Last: 20})
		ctx := &between{Context: t.Context(), do: func() { deliver(t, s, p, 1) }} // after the first slice: in none
		changed, _, err := s.StoreFlags(ctx, me, inbox.ID, gone, mailstore.FlagChange{Flags: mailstore.Flagged})
		if err != nil || len(changed) != 1 || changed[0].UID != 9 || ctx.asked != 3 {
			t.Errorf("changed %v in %d transactions: %v", changed, ctx.asked, err)
		}
	})
}
