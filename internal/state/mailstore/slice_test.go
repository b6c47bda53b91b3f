package mailstore_test

import (
	"context"
	"testing"

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
