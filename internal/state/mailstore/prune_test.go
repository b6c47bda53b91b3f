package mailstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/mailstore"
)

const day = 24 * time.Hour

// aged is a store with a clock that the test moves.
type aged struct {
	*mailstore.Store
	db  *db.DB
	p   packs
	now time.Time
	n   int64
}

func newAged(t *testing.T) *aged {
	a := &aged{db: dbtest.Open(t), p: packs{}, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	a.Store = mailstore.New(mailstore.Options{DB: a.db, Blobs: a.p, Now: func() time.Time { return a.now }})
	if err := a.CreateAccount(t.Context(), me); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *aged) deliver(t *testing.T, n int) {
	t.Helper()
	var ds []mailstore.Delivery
	for range n {
		a.n++
		ds = append(ds, mailstore.Delivery{QueueID: queueid.New(a.n, 1), Account: me, Email: a.p.put("text")})
	}
	each, err := a.Deliver(t.Context(), ds)
	if err := errors.Join(append(each, err)...); err != nil {
		t.Fatal(err)
	}
}

func (a *aged) remove(t *testing.T, box mailstore.Name, first, last uint32) {
	t.Helper()
	m, err := a.Mailbox(t.Context(), me, box)
	if err == nil {
		_, err = a.Remove(t.Context(), me, m.ID, []mailstore.Range{{First: first, Last: last}}, "test")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (a *aged) prune(t *testing.T) mailstore.Pruned {
	t.Helper()
	p, err := a.Prune(t.Context(), mailstore.Keep{Expunged: 7 * day, Tombstones: 30 * day, Pause: func(ctx context.Context) error { return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(t.Context()); err != nil {
		t.Errorf("invariants: %v", err)
	}
	return p
}

func (a *aged) rows(t *testing.T, table string) (n int64) {
	t.Helper()
	if err := a.db.Read(t.Context(), func(tx *db.Tx) error {
		_, err := tx.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// What was expunged keeps its email for a week and its tombstone for a month; then QRESYNC is told that it must compare.
func TestExpungedIsLetGoInTime(t *testing.T) {
	a := newAged(t)
	a.deliver(t, 250)
	m := box(t, a.Store, mailstore.Inbox())
	before := m.ModSeq
	a.remove(t, mailstore.Inbox(), 1, 240)
	a.now = a.now.Add(7*day - time.Second)
	if p := a.prune(t); p != (mailstore.Pruned{}) {
		t.Fatalf("early: %+v", p)
	}
	a.now = a.now.Add(time.Second)
	if p := a.prune(t); p != (mailstore.Pruned{Emails: 240}) || a.rows(t, "email") != 10 || a.rows(t, "expunged") != 240 {
		t.Fatalf("after a week: %+v, %d emails", p, a.rows(t, "email"))
	}
	if uids, known, err := a.Vanished(t.Context(), me, m.ID, before); err != nil || !known || len(uids) != 240 {
		t.Fatalf("vanished: %d, %v, %v", len(uids), known, err)
	}
	a.now = a.now.Add(23 * day)
	if p := a.prune(t); p != (mailstore.Pruned{Tombstones: 240}) || a.rows(t, "expunged") != 0 {
		t.Fatalf("after a month: %+v", p)
	}
	if _, known, err := a.Vanished(t.Context(), me, m.ID, before); err != nil || known {
		t.Errorf("a client from before is told that the list is complete: %v", err)
	}
	if _, known, err := a.Vanished(t.Context(), me, m.ID, box(t, a.Store, mailstore.Inbox()).ModSeq); err != nil || !known {
		t.Errorf("a client that has seen it all must compare: %v", err)
	}
	if p := a.prune(t); p != (mailstore.Pruned{}) {
		t.Errorf("again: %+v", p)
	}
}

// An email stays while any entry or any tombstone that is not over leads to it: copies, moves, a mailbox that was deleted.
func TestEmailStaysWhileSomethingLeadsThere(t *testing.T) {
	a := newAged(t)
	a.deliver(t, 3)
	in := box(t, a.Store, mailstore.Inbox())
	archive := mailstore.Name{"Archive"}
	for uid := uint32(1); uid <= 3; uid++ {
		if _, _, err := a.Copy(t.Context(), me, in.ID, []mailstore.Range{{First: uid, Last: uid}}, archive); err != nil {
			t.Fatal(err)
		}
	}
	a.remove(t, mailstore.Inbox(), 1, 2) // the copies live on
	a.now = a.now.Add(5 * day)
	a.remove(t, archive, 1, 1)
	a.now = a.now.Add(2 * day)
	if p := a.prune(t); p.Emails != 0 || a.rows(t, "email") != 3 {
		t.Fatalf("after a week: %+v", p)
	}
	a.now = a.now.Add(5 * day)
	if p := a.prune(t); p.Emails != 1 || a.rows(t, "email") != 2 {
		t.Fatalf("the first one's second tombstone is over: %+v", p)
	}
	if err := a.DeleteMailbox(t.Context(), me, archive, "test"); err != nil {
		t.Fatal(err)
	}
	a.now = a.now.Add(31 * day)
	if p := a.prune(t); p.Emails != 1 || a.rows(t, "email") != 1 || a.rows(t, "expunged") != 0 {
		t.Fatalf("after the mailbox: %+v; %d emails, %d tombstones", p, a.rows(t, "email"), a.rows(t, "expunged"))
	}
}

// A clock that was ahead leaves tombstones from the future: their time begins when that is seen, and nothing waits for ever.
func TestTombstonesFromTheFuture(t *testing.T) {
	a := newAged(t)
	a.deliver(t, 2)
	a.now = a.now.Add(3650 * day)
	a.remove(t, mailstore.Inbox(), 1, 1)
	a.now = a.now.Add(-3650 * day)
	a.remove(t, mailstore.Inbox(), 2, 2)
	if p := a.prune(t); p != (mailstore.Pruned{}) {
		t.Fatalf("early: %+v", p)
	}
	a.now = a.now.Add(7 * day)
	if p := a.prune(t); p.Emails != 2 {
		t.Errorf("a week later: %+v", p)
	}
	a.now = a.now.Add(23 * day)
	if p := a.prune(t); p.Tombstones != 2 {
		t.Errorf("a month later: %+v", p)
	}
}

// A removed account takes nothing any more, at once; its mail goes when its time is over, in slices, and a cut in the middle
// is gone on from.
func TestRemovedAccountIsLetGo(t *testing.T) {
	a := newAged(t)
	const other = me + 1
	if err := a.CreateAccount(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	a.deliver(t, 250)
	a.remove(t, mailstore.Inbox(), 1, 120)
	for _, step := range []func(context.Context, int64) error{a.WillRemove, a.Abandoned, a.WillRemove} {
		if err := step(t.Context(), me); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := a.Removing(t.Context()); err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	a.now = a.now.Add(100 * day)
	if a.prune(t); a.rows(t, "entry") != 130 {
		t.Fatal("an account whose removal was only begun is let go")
	}
	if err := a.RemoveAccount(t.Context(), me); err != nil {
		t.Fatal(err)
	}
	each, err := a.Deliver(t.Context(), []mailstore.Delivery{{QueueID: queueid.New(999, 9), Account: me, Email: a.p.put("late")}})
	if err != nil || !errors.Is(each[0], mailstore.ErrNoAccount) {
		t.Fatalf("delivery to a removed account: %v, %v", each, err)
	}
	if ids, err := a.Removed(t.Context()); err != nil || fmt.Sprint(ids) != fmt.Sprint([]int64{me}) {
		t.Fatal(ids, err)
	}
	if a.prune(t); a.rows(t, "email") != 130 {
		t.Fatal("its mail went at once")
	}
	a.now = a.now.Add(7 * day)
	stop, left := errors.New("stop"), 6
	_, err = a.Prune(t.Context(), mailstore.Keep{Expunged: 7 * day, Pause: func(context.Context) error {
		if left--; left == 0 {
			return stop
		}
		return nil
	}})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if p := a.prune(t); p.Accounts != 1 {
		t.Errorf("let go: %+v", p)
	}
	for _, table := range []string{"email", "entry", "expunged", "thread_ref", "account_removed"} {
		if n := a.rows(t, table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
	if list, err := a.Mailboxes(t.Context(), other); err != nil || len(list) != 6 {
		t.Errorf("the other account: %d mailboxes, %v", len(list), err)
	}
}

// References move to a record's copy, all of one record's at once; what leads elsewhere stays; a pack that is about to go
// gets no new reference, by delivery, APPEND or a move.
func TestReferencesMoveAndAreRefused(t *testing.T) {
	condemned := map[int64]bool{}
	refused := errors.New("condemned")
	p := packs{}
	s := mailstore.New(mailstore.Options{DB: dbtest.Open(t), Blobs: p, Referable: func(_ *db.Tx, pack int64) error {
		if condemned[pack] {
			return refused
		}
		return nil
	}})
	for _, id := range []int64{me, me + 1} {
		if err := s.CreateAccount(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	e := p.put("shared by two")
	ds := []mailstore.Delivery{{QueueID: queueid.New(1, 1), Account: me, Email: e}, {QueueID: queueid.New(1, 1), Recipient: 1, Account: me + 1, Email: e}}
	if each, err := s.Deliver(t.Context(), ds); err != nil || errors.Join(each...) != nil {
		t.Fatal(each, err)
	}
	to := recipe.BlobRef{Pack: 50, Offset: 640, Length: e.Ref.Length}
	p[50] = p[e.Ref.Pack]
	move := []mailstore.Moved{{From: e.Ref, To: to}}
	condemned[50] = true
	if n, err := s.MoveReferences(t.Context(), move); n != 0 || !errors.Is(err, refused) {
		t.Fatalf("moved %d into a condemned pack: %v", n, err)
	}
	condemned[50] = false
	for _, want := range []int64{2, 0} {
		if n, err := s.MoveReferences(t.Context(), move); n != want || err != nil {
			t.Fatalf("moved %d, want %d: %v", n, want, err)
		}
	}
	if list, err := s.Records(t.Context(), 50); err != nil || len(list) != 1 || list[0] != to {
		t.Errorf("records of the new pack: %v, %v", list, err)
	}
	if list, err := s.Records(t.Context(), e.Ref.Pack); err != nil || len(list) != 0 {
		t.Errorf("records of the old pack: %v, %v", list, err)
	}
	var many []mailstore.Delivery // of one record, and more than one transaction moves
	shared := p.put("shared by many")
	for i := range 350 {
		many = append(many, mailstore.Delivery{QueueID: queueid.New(3, 1), Recipient: i, Account: me, Email: shared})
	}
	if each, err := s.Deliver(t.Context(), many); err != nil || errors.Join(each...) != nil {
		t.Fatal(each, err)
	}
	p[51] = p[shared.Ref.Pack]
	move = []mailstore.Moved{{From: recipe.BlobRef{Pack: 77, Offset: 64}, To: to}, {From: shared.Ref, To: recipe.BlobRef{Pack: 51, Offset: 64, Length: shared.Ref.Length}}}
	if n, err := s.MoveReferences(t.Context(), move); n != 350 || err != nil {
		t.Fatalf("moved %d of 350: %v", n, err)
	}
	condemned[e.Ref.Pack] = true
	ds[0].QueueID = queueid.New(2, 1)
	if each, err := s.Deliver(t.Context(), ds[:1]); !errors.Is(errors.Join(append(each, err)...), refused) {
		t.Errorf("delivery into a condemned pack: %v, %v", each, err)
	}
	if _, _, err := s.Append(t.Context(), &mailstore.Append{Account: me, Mailbox: mailstore.Inbox(), Messages: []mailstore.NewEntry{{Email: e}}}); !errors.Is(err, refused) {
		t.Errorf("APPEND into a condemned pack: %v", err)
	}
	if err := s.Import(t.Context(), me, mailstore.Inbox(), []mailstore.Imported{{Email: e}}); !errors.Is(err, refused) {
		t.Errorf("import into a condemned pack: %v", err)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// What a repair took out of its mailboxes can be put back however late its pack comes back: it is not let go of. Tombstones
// behind it in its mailbox go in their time.
func TestWhatARepairTookOutIsKept(t *testing.T) {
	a := newAged(t)
	a.deliver(t, 3)
	if err := a.SetAside(t.Context(), me, 1); err != nil {
		t.Fatal(err)
	}
	a.remove(t, mailstore.Inbox(), 2, 2)
	a.now = a.now.Add(100 * day)
	if p := a.prune(t); p != (mailstore.Pruned{Emails: 1, Tombstones: 1}) {
		t.Errorf("pruned: %+v", p)
	}
	if p := a.prune(t); p != (mailstore.Pruned{}) {
		t.Errorf("pruned again: %+v", p)
	}
	out := 0
	if err := a.TakenOut(t.Context(), func(r mailstore.Reference) error { out++; return a.PutBack(t.Context(), r.Account, r.Email) }); err != nil {
		t.Fatal(err)
	}
	if m := box(t, a.Store, mailstore.Inbox()); out != 1 || m.Messages != 2 {
		t.Errorf("%d were taken out; after they were put back the mailbox has %d messages", out, m.Messages)
	}
	a.now = a.now.Add(100 * day)
	if p := a.prune(t); p != (mailstore.Pruned{Tombstones: 1}) || a.rows(t, "email") != 2 {
		t.Errorf("when it was back: %+v, %d emails", p, a.rows(t, "email"))
	}
}
