package mailstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/mailstore"
)

const me = 7

// packs is a stand-in for the packs: one body for each pack number.
type packs map[int64][]byte

func (p packs) ReadBodyAt(ref recipe.BlobRef, b []byte, off int64) error {
	copy(b, p[ref.Pack][off:])
	return nil
}

func (p packs) Trailer(_ context.Context, ref recipe.BlobRef) ([]byte, error) {
	self := flow.Self
	self.Length = ref.Length
	return flow.AppendAppend(nil, &flow.Append{Message: recipe.Whole(self).Prepend([]byte("Received: by us\r\n"))}), nil
}

func (p packs) put(body string) mailstore.NewEmail {
	n := int64(len(p) + 1)
	p[n] = []byte(body)
	return mailstore.NewEmail{Ref: recipe.BlobRef{Pack: n, Offset: 64, Length: int64(len(body))},
		Literals: []byte("Return-Path: <x@y>\r\n"), Size: int64(len(body)) + 20 + 17, Received: time.Unix(1_800_000_000, 0),
		Structure: []byte("s")}
}

// each runs the test over every engine, and checks the store's invariants at the end.
func each(t *testing.T, fn func(t *testing.T, s *mailstore.Store, p packs)) {
	for name, open := range map[string]func(testing.TB) *db.DB{"memory": dbtest.Open, "sqlite": dbtest.OpenFile} {
		t.Run(name, func(t *testing.T) {
			p := packs{}
			s := mailstore.New(mailstore.Options{DB: open(t), Blobs: p})
			if err := s.CreateAccount(t.Context(), me); err != nil {
				t.Fatal(err)
			}
			fn(t, s, p)
			if err := s.Verify(t.Context()); err != nil {
				t.Errorf("invariants: %v", err)
			}
		})
	}
}

func name(t *testing.T, c ...string) mailstore.Name {
	t.Helper()
	n, err := mailstore.MakeName(c...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func box(t *testing.T, s *mailstore.Store, n mailstore.Name) mailstore.Mailbox {
	t.Helper()
	m, err := s.Mailbox(t.Context(), me, n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func entries(t *testing.T, s *mailstore.Store, n mailstore.Name) (list []mailstore.Entry) {
	t.Helper()
	if _, err := s.Snapshot(t.Context(), me, box(t, s, n).ID, func(e mailstore.Entry) { list = append(list, e) }); err != nil {
		t.Fatal(err)
	}
	return list
}

func deliver(t *testing.T, s *mailstore.Store, p packs, n int) {
	t.Helper()
	for i := range n {
		d := mailstore.Delivery{QueueID: queueid.New(int64(len(p)+1), 1), Account: me, Email: p.put(fmt.Sprintf("message %d\r\n", i))}
		if each, err := s.Deliver(t.Context(), []mailstore.Delivery{d}); err != nil || each[0] != nil {
			t.Fatal(err, each)
		}
	}
}

func TestNewAccountHasDefaultMailboxes(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, _ packs) {
		list, err := s.Mailboxes(t.Context(), me)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		last := uint32(0)
		for _, m := range list {
			got = append(got, m.Name.Join("/")+":"+m.Role)
			if m.UIDValidity == 0 || m.UIDNext != 1 {
				t.Errorf("%v: UIDVALIDITY %d UIDNEXT %d", m.Name, m.UIDValidity, m.UIDNext)
			}
			if m.UIDValidity == last {
				t.Error("two mailboxes share a UIDVALIDITY")
			}
			last = m.UIDValidity
		}
		want := []string{"Archive:archive", "Drafts:drafts", "INBOX:", "Junk:junk", "Sent:sent", "Trash:trash"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("mailboxes %v", got)
		}
		subs, err := s.Subscriptions(t.Context(), me)
		if err != nil || len(subs) != 6 {
			t.Errorf("subscriptions %v %v", subs, err)
		}
		if err := s.CreateAccount(t.Context(), me); err != nil {
			t.Errorf("a second time: %v", err)
		}
	})
}

func TestDeliverExactlyOnce(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		id := queueid.New(99, 1)
		d := mailstore.Delivery{QueueID: id, Recipient: 3, Account: me, Email: p.put("hello\r\n")}
		for range 3 {
			if _, err := s.Deliver(t.Context(), []mailstore.Delivery{d}); err != nil {
				t.Fatal(err)
			}
		}
		list := entries(t, s, mailstore.Inbox())
		if len(list) != 1 || list[0].UID != 1 {
			t.Fatalf("entries %+v", list)
		}
		if done, err := s.Delivered(t.Context(), id, 3); !done || err != nil {
			t.Fatalf("ledger %v %v", done, err)
		}
		if done, _ := s.Delivered(t.Context(), id, 4); done {
			t.Fatal("ledger has another recipient")
		}
		for _, forget := range []struct {
			before queueid.ID
			keep   bool
		}{{queueid.New(99, 0), false}, {queueid.New(100, 0), true}} {
			if err := s.Forget(t.Context(), forget.before, func(queueid.ID) bool { return forget.keep }); err != nil {
				t.Fatal(err)
			}
		}
		if done, _ := s.Delivered(t.Context(), id, 3); !done {
			t.Fatal("forgot too much")
		}
		if err := s.Forget(t.Context(), queueid.New(100, 0), func(queueid.ID) bool { return false }); err != nil {
			t.Fatal(err)
		}
		if done, _ := s.Delivered(t.Context(), id, 3); done {
			t.Fatal("forgot nothing")
		}
		var got bytes.Buffer
		err := s.Emails(t.Context(), me, []int64{list[0].Email}, func(e *mailstore.Email) error {
			r, err := s.Open(t.Context(), e)
			if err != nil {
				return err
			}
			_, err = io.Copy(&got, r)
			return err
		})
		if want := "Return-Path: <x@y>\r\nReceived: by us\r\nhello\r\n"; err != nil || got.String() != want {
			t.Fatalf("%q %v", got.String(), err)
		}
	})
}

func TestDeliverToNobodyHarmsNoOther(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		id := queueid.New(5, 1)
		ds := []mailstore.Delivery{
			{QueueID: id, Recipient: 0, Account: 12345, Email: p.put("a")},
			{QueueID: id, Recipient: 1, Account: me, Email: p.put("b"), Folder: name(t, "No", "Such")},
			{QueueID: id, Recipient: 2, Account: me, Email: p.put("c"), Folder: name(t, "Junk")},
		}
		each, err := s.Deliver(t.Context(), ds)
		if err != nil || !errors.Is(each[0], mailstore.ErrNoAccount) || each[1] != nil || each[2] != nil {
			t.Fatal(err, each)
		}
		if done, _ := s.Delivered(t.Context(), id, 0); done {
			t.Fatal("the ledger has what was not delivered")
		}
		if n := len(entries(t, s, mailstore.Inbox())); n != 1 {
			t.Fatalf("INBOX has %d", n)
		}
		if n := len(entries(t, s, name(t, "Junk"))); n != 1 {
			t.Fatalf("Junk has %d", n)
		}
	})
}

func TestFlagsCopyMoveExpunge(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		ctx := t.Context()
		deliver(t, s, p, 5)
		inbox := box(t, s, mailstore.Inbox())
		var seen []mailstore.Change
		cancel := s.Watch(me, inbox.ID, func(c mailstore.Change) { seen = append(seen, c) })
		defer cancel()

		k, err := mailstore.Keywords("$Forwarded", "later", "LATER")
		if err != nil || k != "$Forwarded later" {
			t.Fatalf("keywords %q %v", k, err)
		}
		changed, _, err := s.StoreFlags(ctx, me, inbox.ID, []mailstore.Range{{2, 4}}, mailstore.FlagChange{Flags: mailstore.Seen | mailstore.Deleted, Keywords: k})
		if err != nil || len(changed) != 3 || changed[0].UID != 2 || changed[0].Keywords != k {
			t.Fatalf("%+v %v", changed, err)
		}
		again, _, err := s.StoreFlags(ctx, me, inbox.ID, []mailstore.Range{{2, 4}}, mailstore.FlagChange{Flags: mailstore.Seen})
		if err != nil || len(again) != 0 {
			t.Fatalf("nothing to change, yet %+v %v", again, err)
		}
		_, kept, err := s.StoreFlags(ctx, me, inbox.ID, []mailstore.Range{{1, 2}}, mailstore.FlagChange{Flags: mailstore.Flagged, Conditional: true, UnchangedSince: changed[0].ModSeq - 1})
		if err != nil || !reflect.DeepEqual(kept, []uint32{2}) {
			t.Fatalf("kept %v %v", kept, err)
		}
		if _, _, err := s.StoreFlags(ctx, me, inbox.ID, []mailstore.Range{{3, 3}}, mailstore.FlagChange{Op: mailstore.RemoveFlags, Flags: mailstore.Deleted, Keywords: "later"}); err != nil {
			t.Fatal(err)
		}
		if list := entries(t, s, mailstore.Inbox()); list[2].Flags != mailstore.Seen || list[2].Keywords != "$Forwarded" {
			t.Fatalf("%+v", list[2])
		}
		uidv, pairs, err := s.Copy(ctx, me, inbox.ID, []mailstore.Range{{1, 1}, {5, 9}}, name(t, "Archive"))
		if err != nil || uidv != box(t, s, name(t, "Archive")).UIDValidity || !reflect.DeepEqual(pairs, []mailstore.Placed{{1, 1}, {5, 2}}) {
			t.Fatalf("copy %d %v %v", uidv, pairs, err)
		}
		if _, _, err := s.Copy(ctx, me, inbox.ID, []mailstore.Range{{1, 1}}, name(t, "Nowhere")); !errors.Is(err, mailstore.ErrNoMailbox) {
			t.Fatalf("copy to nowhere: %v", err)
		}
		if _, pairs, err = s.Move(ctx, me, inbox.ID, []mailstore.Range{{3, 3}}, name(t, "Archive"), "test"); err != nil || !reflect.DeepEqual(pairs, []mailstore.Placed{{3, 3}}) {
			t.Fatalf("move %v %v", pairs, err)
		}
		uids, err := s.Expunge(ctx, me, inbox.ID, []mailstore.Range{{1, 1 << 31}}, "test")
		if err != nil || !reflect.DeepEqual(uids, []uint32{2, 4}) {
			t.Fatalf("expunged %v %v", uids, err)
		}
		var left []uint32
		for _, e := range entries(t, s, mailstore.Inbox()) {
			left = append(left, e.UID)
		}
		if !reflect.DeepEqual(left, []uint32{1, 5}) {
			t.Fatalf("left %v", left)
		}
		last := int64(0)
		for _, c := range seen {
			if c.ModSeq <= last {
				t.Fatalf("modseq %d after %d", c.ModSeq, last)
			}
			last = c.ModSeq
		}
		if n := len(seen); n != 5 { // three changes of flags, the move, the expunge
			t.Fatalf("%d changes: %+v", n, seen)
		}
		if u, err := s.Usage(ctx, me); err != nil || u.Messages != 5 {
			t.Fatalf("usage %+v %v", u, err)
		}
	})
}

func TestMailboxNames(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		ctx := t.Context()
		a := box0(t, s, "a", "b", "c")
		if _, err := s.CreateMailbox(ctx, me, name(t, "a"), ""); !errors.Is(err, mailstore.ErrExists) {
			t.Fatalf("parents are made: %v", err)
		}
		box0(t, s, "a b") // sorts between "a" and its children in a naive comparison
		if err := s.DeleteMailbox(ctx, me, name(t, "a"), "test"); !errors.Is(err, mailstore.ErrChildren) {
			t.Fatalf("delete a parent: %v", err)
		}
		if err := s.RenameMailbox(ctx, me, name(t, "a"), name(t, "x", "y"), "test"); err != nil {
			t.Fatal(err)
		}
		moved := box(t, s, name(t, "x", "y", "b", "c"))
		if moved.ID != a.ID || moved.UIDValidity != a.UIDValidity {
			t.Fatal("renaming made another mailbox")
		}
		box(t, s, name(t, "a b"))
		if err := s.RenameMailbox(ctx, me, name(t, "x"), name(t, "x", "z"), "test"); err == nil {
			t.Fatal("renamed into itself")
		}
		if err := s.DeleteMailbox(ctx, me, mailstore.Inbox(), "test"); !errors.Is(err, mailstore.ErrInbox) {
			t.Fatalf("delete INBOX: %v", err)
		}
		if _, err := s.CreateMailbox(ctx, me, name(t, "Spam"), "junk"); !errors.Is(err, mailstore.ErrRole) || errors.Is(err, mailstore.ErrExists) {
			t.Fatalf("second \\Junk: %v", err)
		}
		deliver(t, s, p, 3)
		if err := s.RenameMailbox(ctx, me, name(t, "inbox"), name(t, "Old"), "test"); err != nil {
			t.Fatal(err)
		}
		if len(entries(t, s, mailstore.Inbox())) != 0 || len(entries(t, s, name(t, "Old"))) != 3 {
			t.Fatal("renaming INBOX moves its messages")
		}
		deliver(t, s, p, 1)
		if e := entries(t, s, mailstore.Inbox()); len(e) != 1 || e[0].UID != 4 {
			t.Fatalf("INBOX keeps its UIDs: %+v", e)
		}
		old := box(t, s, name(t, "Old"))
		gone := false
		defer s.Watch(me, old.ID, func(c mailstore.Change) { gone = c.Gone })()
		if err := s.DeleteMailbox(ctx, me, name(t, "Old"), "test"); err != nil || !gone {
			t.Fatal("deleted without notice", err)
		}
		fresh := box0(t, s, "Old")
		if fresh.UIDValidity <= old.UIDValidity || fresh.ID == old.ID {
			t.Fatal("a new mailbox of an old name needs a higher UIDVALIDITY")
		}
	})
}

func box0(t *testing.T, s *mailstore.Store, c ...string) mailstore.Mailbox {
	t.Helper()
	m, err := s.CreateMailbox(t.Context(), me, name(t, c...), "")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestBadNames(t *testing.T) {
	for _, c := range [][]string{{}, {""}, {"a", ""}, {"a\x00b"}, {"a\x1fb"}, {"\xff"}, {string(make([]byte, 2000))}} {
		if _, err := mailstore.MakeName(c...); !status.IsPermanent(err) {
			t.Errorf("%q: %v", c, err)
		}
	}
	nfc, err := mailstore.MakeName("Bu\u0308ro")
	if err != nil || nfc[0] != "B\u00fcro" {
		t.Errorf("not NFC: %q %v", nfc, err)
	}
	if n, _ := mailstore.ParseName("INbox/x/", "/"); n.Join(".") != "INBOX.x" {
		t.Errorf("parsed %v", n)
	}
}

func TestImportKeepsUIDs(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		ctx := t.Context()
		old := box0(t, s, "Old")
		if err := s.ImportUIDs(ctx, me, old.Name, 12345, 100); err != nil {
			t.Fatal(err)
		}
		in := []mailstore.Imported{{UID: 100, Email: p.put("a"), Flags: mailstore.Seen, Keywords: "work"}, {UID: 107, Email: p.put("b"), UIDL: "pop-7"}, {Email: p.put("c")}}
		if err := s.Import(ctx, me, old.Name, in[:2]); err != nil {
			t.Fatal(err)
		}
		if err := s.Import(ctx, me, old.Name, in[2:]); err != nil {
			t.Fatal(err)
		}
		got := entries(t, s, old.Name)
		if len(got) != 3 || got[0].UID != 100 || got[1].UID != 107 || got[2].UID != 108 || got[0].Keywords != "work" {
			t.Fatalf("%+v", got)
		}
		if err := s.Import(ctx, me, old.Name, in[:1]); !status.IsPermanent(err) {
			t.Fatalf("a UID below UIDNEXT: %v", err)
		}
		if err := s.ImportUIDs(ctx, me, old.Name, 777, 200); !status.IsPermanent(err) {
			t.Fatalf("UIDVALIDITY of a used mailbox: %v", err)
		}
		if m := box(t, s, old.Name); m.UIDValidity != 12345 || m.UIDNext != 109 {
			t.Fatalf("%+v", m)
		}
	})
}

func TestThreads(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		put := func(th mailstore.Threading) int64 {
			e := p.put("x")
			e.Thread = th
			_, uids, err := s.Append(t.Context(), &mailstore.Append{Account: me, Mailbox: mailstore.Inbox(), Messages: []mailstore.NewEntry{{Email: e}}})
			if err != nil {
				t.Fatal(err)
			}
			var thread int64
			list := entries(t, s, mailstore.Inbox())
			err = s.Emails(t.Context(), me, []int64{list[uids[0]-1].Email}, func(e *mailstore.Email) error { thread = e.Thread; return nil })
			if err != nil {
				t.Fatal(err)
			}
			return thread
		}
		root := put(mailstore.Threading{MessageID: "1@x"})
		reply := put(mailstore.Threading{MessageID: "2@x", InReplyTo: []string{"1@x"}, References: []string{"1@x"}})
		early := put(mailstore.Threading{MessageID: "9@x", References: []string{"7@x", "8@x"}})
		late := put(mailstore.Threading{MessageID: "8@x"})
		other := put(mailstore.Threading{MessageID: "3@x"})
		none := put(mailstore.Threading{})
		if reply != root || late != early || other == root || none == other || early == root {
			t.Fatalf("threads %d %d %d %d %d %d", root, reply, early, late, other, none)
		}
	})
}

func TestUnlimitedFollowsTheQuota(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, _ packs) {
		if s.Unlimited(me) {
			t.Fatal("known before it was asked")
		}
		usage := func() mailstore.Usage {
			u, err := s.Usage(t.Context(), me)
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		if usage(); !s.Unlimited(me) {
			t.Fatal("not remembered")
		}
		if err := s.SetQuota(t.Context(), me, 1000); err != nil {
			t.Fatal(err)
		}
		if s.Unlimited(me) || usage().Quota != 1000 || s.Unlimited(me) {
			t.Fatal("a quota is not seen")
		}
	})
}
