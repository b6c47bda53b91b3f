package mailstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// One mailbox that can take no more made the whole batch fail, for good: the others' mail bounced.
func TestFullMailboxHarmsNoOtherOfItsBatch(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		box0(t, s, "Full")
		m := box(t, s, name(t, "Full"))
		if err := s.ImportUIDs(t.Context(), me, name(t, "Full"), m.UIDValidity, 1<<32-1); err != nil {
			t.Fatal(err)
		}
		ds := make([]mailstore.Delivery, 5)
		for i := range ds {
			ds[i] = mailstore.Delivery{QueueID: queueid.New(5, 1), Recipient: i, Account: me, Email: p.put("x\r\n")}
		}
		ds[2].Folder, ds[3].Account = name(t, "Full"), 99
		for range 2 {
			got, err := s.Deliver(t.Context(), ds)
			if err != nil {
				t.Fatal(err)
			}
			for i, err := range got {
				if want := map[int]error{2: mailstore.ErrUIDs, 3: mailstore.ErrNoAccount}[i]; !errors.Is(err, want) {
					t.Errorf("delivery %d: %v, want %v", i, err, want)
				}
			}
		}
		if n := len(entries(t, s, mailstore.Inbox())); n != 3 {
			t.Errorf("%d messages", n)
		}
		if done, err := s.Delivered(t.Context(), ds[2].QueueID, 2); done || err != nil {
			t.Errorf("the ledger has what was not delivered: %v %v", done, err)
		}
	})
}

// RFC 9051 §6.3.6: of INBOX only the messages move, so they may move below it.
func TestRenameInboxBelowItself(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		deliver(t, s, p, 2)
		if err := s.RenameMailbox(t.Context(), me, mailstore.Inbox(), name(t, "inbox", "2025"), "test"); err != nil {
			t.Fatal(err)
		}
		if len(entries(t, s, name(t, "INBOX", "2025"))) != 2 || len(entries(t, s, mailstore.Inbox())) != 0 {
			t.Fatal("the messages did not move")
		}
		box0(t, s, "a", "b")
		if err := s.RenameMailbox(t.Context(), me, name(t, "a"), name(t, "a", "c"), "test"); !errors.Is(err, mailstore.ErrBelow) {
			t.Fatalf("a mailbox below itself: %v", err)
		}
	})
}

// One command held the database's writer for as long as it took to copy a million messages.
func TestTooManyMessagesAtOnce(t *testing.T) {
	d, p := dbtest.Open(t), packs{}
	s := mailstore.New(mailstore.Options{DB: d, Blobs: p})
	if err := s.CreateAccount(t.Context(), me); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, p, 1)
	inbox, archive := box(t, s, mailstore.Inbox()).ID, name(t, "Archive")
	err := d.Write(t.Context(), func(tx *db.Tx) error { // as if there were many more
		_, err := tx.Exec("UPDATE mailbox SET messages = 200000, uidnext = 200001 WHERE account_id = ? AND mailbox_id = ?", me, inbox)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ranges []mailstore.Range
		want   error
	}{
		{[]mailstore.Range{{First: 1, Last: 1<<32 - 1}}, mailstore.ErrLarge},
		{[]mailstore.Range{{First: 1, Last: 100_000}, {First: 150_000, Last: 150_000}}, mailstore.ErrLarge},
		{[]mailstore.Range{{First: 1, Last: 100_000}}, nil},
		{[]mailstore.Range{{First: 100_001, Last: 1<<32 - 1}}, nil},
	} {
		if _, _, err := s.Copy(t.Context(), me, inbox, c.ranges, archive); !errors.Is(err, c.want) {
			t.Errorf("copy of %v: %v", c.ranges, err)
		}
	}
	if err := s.RenameMailbox(t.Context(), me, mailstore.Inbox(), name(t, "Old"), "test"); !errors.Is(err, mailstore.ErrLarge) {
		t.Errorf("rename of INBOX: %v", err)
	}
}

// COPY went on when the account was full.
func TestCopyAndAppendKeepTheQuota(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, p packs) {
		deliver(t, s, p, 2)
		all := []mailstore.Range{{First: 1, Last: 9}}
		u, err := s.Usage(t.Context(), me)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetQuota(t.Context(), me, u.Bytes*2-1); err != nil {
			t.Fatal(err)
		}
		inbox := box(t, s, mailstore.Inbox()).ID
		if _, _, err := s.Copy(t.Context(), me, inbox, all, name(t, "Archive")); !errors.Is(err, status.ErrQuota) {
			t.Fatalf("copy: %v", err)
		}
		if _, _, err := s.Copy(t.Context(), me, inbox, all[:0], name(t, "Archive")); err != nil {
			t.Fatalf("copy of nothing: %v", err)
		}
		if err := s.SetQuota(t.Context(), me, u.Bytes); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Append(t.Context(), &mailstore.Append{Account: me, Mailbox: mailstore.Inbox(), Messages: []mailstore.NewEntry{{Email: p.put("x")}}}); !errors.Is(err, status.ErrQuota) {
			t.Fatalf("append: %v", err)
		}
		if _, _, err := s.Move(t.Context(), me, inbox, all, name(t, "Archive"), "test"); err != nil {
			t.Fatalf("a move needs no room: %v", err)
		}
		deliver(t, s, p, 1) // nor is a delivery refused
	})
}

// SAVEDATE is when the message came into this mailbox, not its INTERNALDATE (RFC 8514 §2).
func TestSavedIsSetByEveryMailbox(t *testing.T) {
	p, now := packs{}, time.Unix(1_900_000_000, 0)
	s := mailstore.New(mailstore.Options{DB: dbtest.Open(t), Blobs: p, Now: func() time.Time { return now }})
	if err := s.CreateAccount(t.Context(), me); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, p, 1)
	now = now.Add(time.Hour)
	if _, _, err := s.Copy(t.Context(), me, box(t, s, mailstore.Inbox()).ID, []mailstore.Range{{First: 1, Last: 1}}, name(t, "Archive")); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[string]int64{"INBOX": 1_900_000_000, "Archive": 1_900_003_600} {
		if e := entries(t, s, name(t, n))[0]; e.Saved != want || e.InternalDate != 1_800_000_000 {
			t.Errorf("%s: saved %d, date %d", n, e.Saved, e.InternalDate)
		}
	}
}

// Whether "Foo" or "foo" stayed was chance for more than a dozen keywords.
func TestKeywordKeepsItsFirstSpelling(t *testing.T) {
	words := []string{"Work", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "WORK", "work"}
	for range 20 {
		got, err := mailstore.Keywords(words...)
		if want := "a b c d e f g h i j k l m n Work"; err != nil || got != want {
			t.Fatalf("%q %v", got, err)
		}
	}
}

func TestImportRefusesUIDValidityZero(t *testing.T) {
	each(t, func(t *testing.T, s *mailstore.Store, _ packs) {
		box0(t, s, "New")
		if err := s.ImportUIDs(t.Context(), me, name(t, "New"), 0, 5); !status.IsPermanent(err) {
			t.Fatalf("UIDVALIDITY 0: %v", err) // RFC 9051 §9: nz-number
		}
	})
}
