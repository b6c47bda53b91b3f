package mailstore

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
)

// maxUID is the highest UID (RFC 9051 §2.3.1.1: 32 bits, never 0).
const maxUID = 1<<32 - 1

// NewEmail is a message to be put into the store.
type NewEmail struct {
	Ref       recipe.BlobRef // the record whose trailer holds the message's recipe
	Literals  []byte         // delivery literals in front of it: Return-Path, Delivered-To
	Size      int64          // of the whole message, literals included
	Received  time.Time      // INTERNALDATE
	Structure []byte         // of the message without Literals, as package mime encodes it
	Thread    Threading
}

// Delivery is one recipient's copy of a job.
type Delivery struct {
	QueueID   queueid.ID
	Recipient int // recipient_no
	Account   int64
	Folder    Name // nil: INBOX. Where it does not exist (any more), INBOX
	Email     NewEmail
}

// Deliver puts each delivery into its mailbox, exactly once: one that the ledger has is passed over. All of them become
// durable in one transaction; where one stands in the way of the others, each half in one, and so on down to that one. The
// slice of errors has one element for each delivery: nil, or why this one cannot be delivered (ErrNoAccount, for one); err is
// a failure of them all.
func (s *Store) Deliver(ctx context.Context, ds []Delivery) (each []error, err error) {
	each, err = s.deliverAll(ctx, ds)
	if err == nil || common(err) {
		return each, err
	}
	if len(ds) == 1 {
		return []error{err}, nil
	}
	each = each[:0]
	for _, half := range [][]Delivery{ds[:len(ds)/2], ds[len(ds)/2:]} {
		list, err := s.Deliver(ctx, half)
		for i := range list {
			if err != nil {
				list[i] = err // the other half may have gone well
			}
		}
		each = append(each, list...)
	}
	return each, nil
}

// common tells whether a failure of a write is no fault of what was to be written.
func common(err error) bool {
	for _, e := range []error{status.ErrNoSpace, status.ErrFatal, status.ErrShutdown, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *Store) deliverAll(ctx context.Context, ds []Delivery) (each []error, err error) {
	each = make([]error, len(ds))
	err = s.write(ctx, func(t *txn) error {
		clear(each)
		return t.deliver(ds, each)
	})
	return each, err
}

// deliver puts the deliveries that the ledger does not have into their mailboxes. What one statement can say for several
// of them is said once: the counters of an account, those of a mailbox.
func (t *txn) deliver(ds []Delivery, each []error) error {
	fresh := make([]int, 0, len(ds)) // of ds
	for i := range ds {
		n, err := t.Exec("INSERT INTO delivered (queue_id, recipient_no) VALUES (?, ?) ON CONFLICT DO NOTHING",
			ds[i].QueueID[:], ds[i].Recipient)
		if err != nil {
			return err
		}
		if n > 0 {
			fresh = append(fresh, i)
		}
	}
	// Stable: who sent first has the lower UID.
	slices.SortStableFunc(fresh, func(a, b int) int { return cmp.Compare(ds[a].Account, ds[b].Account) })
	for len(fresh) > 0 {
		n := 1
		for n < len(fresh) && ds[fresh[n]].Account == ds[fresh[0]].Account {
			n++
		}
		err := t.deliverTo(ds[fresh[0]].Account, ds, fresh[:n])
		if err == ErrNoAccount {
			err = t.undeliverable(ds, fresh[:n], each)
		}
		if err != nil {
			return err
		}
		fresh = fresh[n:]
	}
	return nil
}

// undeliverable takes deliveries out of the ledger again whose account is gone.
func (t *txn) undeliverable(ds []Delivery, list []int, each []error) error {
	for _, i := range list {
		each[i] = ErrNoAccount
		if _, err := t.Exec("DELETE FROM delivered WHERE queue_id = ? AND recipient_no = ?", ds[i].QueueID[:], ds[i].Recipient); err != nil {
			return err
		}
	}
	return nil
}

// deliverTo makes those deliveries of ds that are in list; all are for one account.
func (t *txn) deliverTo(account int64, ds []Delivery, list []int) error {
	emails := make([]*NewEmail, len(list))
	for i, d := range list {
		emails[i] = &ds[d].Email
	}
	modseq, first, err := t.newEmails(account, emails)
	if err != nil {
		return err
	}
	byBox := map[int64][]Entry{}
	for i, d := range list {
		box, err := t.deliveryMailbox(&ds[d])
		if err != nil {
			return err
		}
		byBox[box] = append(byBox[box], emails[i].entry(first+int64(i), modseq))
	}
	for _, box := range slices.Sorted(maps.Keys(byBox)) {
		if err := t.addEntries(account, box, byBox[box], ""); err != nil {
			return err
		}
	}
	return nil
}

// newEmails numbers emails of an account, counts them and writes their rows. All get one modification sequence.
func (t *txn) newEmails(account int64, list []*NewEmail) (modseq, first int64, err error) {
	var bytes int64
	for _, e := range list {
		bytes += e.Size
	}
	n := int64(len(list))
	found, err := t.QueryRow(`UPDATE account_state SET modseq = modseq + 1, next_email = next_email + ?,
		messages = messages + ?, bytes = bytes + ? WHERE account_id = ? RETURNING modseq, next_email`,
		n, n, bytes, account).Scan(&modseq, &first)
	if err != nil {
		return 0, 0, err
	}
	if !found {
		return 0, 0, ErrNoAccount
	}
	first -= n
	for i, e := range list {
		if err := t.insertEmail(account, first+int64(i), e); err != nil {
			return 0, 0, err
		}
	}
	return modseq, first, nil
}

func (t *txn) insertEmail(account, id int64, e *NewEmail) error {
	if err := t.referable(e.Ref.Pack); err != nil {
		return err
	}
	thread, err := t.thread(account, id, &e.Thread)
	if err != nil {
		return err
	}
	literals, structure := e.Literals, e.Structure
	if literals == nil {
		literals = []byte{}
	}
	if structure == nil {
		structure = []byte{}
	}
	_, err = t.Exec(`INSERT INTO email (account_id, email_id, pack, place, length, literals, size, received, thread_id, structure)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, account, id, e.Ref.Pack, e.Ref.Offset, e.Ref.Length, literals,
		e.Size, e.Received.UnixMicro(), thread, structure)
	return err
}

// entry is the email's place in a mailbox, without flags and without a UID.
func (e *NewEmail) entry(id, modseq int64) Entry {
	return Entry{Email: id, ModSeq: modseq, Size: e.Size, InternalDate: e.Received.Unix()}
}

func (t *txn) deliveryMailbox(d *Delivery) (int64, error) {
	if len(d.Folder) == 0 || d.Folder.IsInbox() {
		return inboxID, nil
	}
	m, err := findMailbox(t.Tx, d.Account, d.Folder)
	if err == ErrNoMailbox {
		return inboxID, nil
	}
	return m.ID, err
}

// addEntries gives entries, which share a modification sequence, the mailbox's next UIDs and writes them. The account's
// counters are the caller's. uidl is for a single one.
func (t *txn) addEntries(account, mailbox int64, entries []Entry, uidl string) error {
	n, modseq := int64(len(entries)), entries[0].ModSeq
	var unseen, deleted, bytes, next int64
	for i := range entries {
		e := &entries[i]
		unseen += count(e.Flags&Seen == 0)
		deleted += count(e.Flags&Deleted != 0)
		bytes += e.Size
	}
	found, err := t.QueryRow(`UPDATE mailbox SET uidnext = uidnext + ?, modseq = ?, messages = messages + ?,
		unseen = unseen + ?, deleted = deleted + ?, bytes = bytes + ?
		WHERE account_id = ? AND mailbox_id = ? RETURNING uidnext`,
		n, modseq, n, unseen, deleted, bytes, account, mailbox).Scan(&next)
	if err != nil {
		return err
	}
	if !found {
		return ErrNoMailbox
	}
	if next > maxUID {
		return ErrUIDs
	}
	for i := range entries {
		entries[i].UID = uint32(next - n + int64(i))
		if err := t.insertEntry(account, mailbox, &entries[i], uidl); err != nil {
			return err
		}
	}
	t.changed(Change{Account: account, Mailbox: mailbox, ModSeq: modseq, Entries: entries})
	return nil
}

// insertEntry writes an entry, as saved now.
func (t *txn) insertEntry(account, mailbox int64, e *Entry, uidl string) error {
	e.Saved = t.now.Unix()
	var u any
	if uidl != "" {
		u = uidl
	}
	_, err := t.Exec(`INSERT INTO entry (account_id, mailbox_id, uid, email_id, flags, keywords, modseq, size, internaldate,
		saved, uidl) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, account, mailbox, e.UID, e.Email, uint8(e.Flags), e.Keywords,
		e.ModSeq, e.Size, e.InternalDate, e.Saved, u)
	return err
}

func count(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
