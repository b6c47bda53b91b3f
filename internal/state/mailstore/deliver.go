package mailstore

import (
	"context"
	"errors"
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
// durable in one transaction; where one stands in the way of the others, in one each. The slice of errors has one element
// for each delivery: nil, or why this one cannot be delivered (ErrNoAccount, for one); err is a failure of them all.
func (s *Store) Deliver(ctx context.Context, ds []Delivery) (each []error, err error) {
	if each, err = s.deliverAll(ctx, ds); err == nil || common(err) {
		return each, err
	}
	for i := range ds {
		one, err := s.deliverAll(ctx, ds[i:i+1])
		if err == nil {
			err = one[0]
		}
		each[i] = err
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
		for i := range ds {
			each[i] = nil
			if err := t.deliver(&ds[i]); err == ErrNoAccount {
				each[i] = err
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return each, err
}

func (t *txn) deliver(d *Delivery) error {
	n, err := t.Exec("INSERT INTO delivered (queue_id, recipient_no) VALUES (?, ?) ON CONFLICT DO NOTHING",
		d.QueueID[:], d.Recipient)
	if err != nil || n == 0 {
		return err
	}
	modseq, id, err := t.newEmail(d.Account, &d.Email)
	if err == ErrNoAccount {
		if _, err := t.Exec("DELETE FROM delivered WHERE queue_id = ? AND recipient_no = ?", d.QueueID[:], d.Recipient); err != nil {
			return err
		}
		return ErrNoAccount
	}
	if err != nil {
		return err
	}
	box, err := t.deliveryMailbox(d)
	if err != nil {
		return err
	}
	e := Entry{Email: id, ModSeq: modseq, Size: d.Email.Size, InternalDate: d.Email.Received.Unix()}
	return t.addEntry(d.Account, box, &e, "")
}

// newEmail takes a number for an email, counts it and writes its row.
func (t *txn) newEmail(account int64, e *NewEmail) (modseq, id int64, err error) {
	found, err := t.QueryRow(`UPDATE account_state SET modseq = modseq + 1, next_email = next_email + 1,
		messages = messages + 1, bytes = bytes + ? WHERE account_id = ? RETURNING modseq, next_email - 1`,
		e.Size, account).Scan(&modseq, &id)
	if err != nil {
		return 0, 0, err
	}
	if !found {
		return 0, 0, ErrNoAccount
	}
	thread, err := t.thread(account, id, &e.Thread)
	if err != nil {
		return 0, 0, err
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
	return modseq, id, err
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

// addEntry gives the entry the mailbox's next UID and writes it. The account's counters are the caller's.
func (t *txn) addEntry(account, mailbox int64, e *Entry, uidl string) error {
	var uid int64
	found, err := t.QueryRow(`UPDATE mailbox SET uidnext = uidnext + 1, modseq = ?, messages = messages + 1,
		unseen = unseen + ?, deleted = deleted + ?, bytes = bytes + ?
		WHERE account_id = ? AND mailbox_id = ? RETURNING uidnext - 1`,
		e.ModSeq, count(e.Flags&Seen == 0), count(e.Flags&Deleted != 0), e.Size, account, mailbox).Scan(&uid)
	if err != nil {
		return err
	}
	if !found {
		return ErrNoMailbox
	}
	if uid >= maxUID {
		return ErrUIDs
	}
	e.UID = uint32(uid)
	if err := t.insertEntry(account, mailbox, e, uidl); err != nil {
		return err
	}
	t.changed(Change{Account: account, Mailbox: mailbox, ModSeq: e.ModSeq, Entries: []Entry{*e}})
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

// Imported is an entry whose UID, dates, flags and POP3 unique id come from another store.
type Imported struct {
	UID      uint32 // 0: the next
	Flags    Flags
	Keywords string
	UIDL     string
	Email    NewEmail
}

// Import is the import-only interface: it puts messages into a mailbox with UIDs of their own, ascending and not below
// the mailbox's UIDNEXT. No other way lets a caller choose a UID.
func (s *Store) Import(ctx context.Context, account int64, mailbox Name, list []Imported) error {
	if !slices.IsSortedFunc(list, func(a, b Imported) int { return int(int64(a.UID) - int64(b.UID)) }) {
		return status.Perm(554, 6, 0, "Import: UIDs must ascend")
	}
	return s.write(ctx, func(t *txn) error {
		m, err := findMailbox(t.Tx, account, mailbox)
		if err != nil {
			return err
		}
		for i := range list {
			in := &list[i]
			if in.UID != 0 {
				n, err := t.Exec("UPDATE mailbox SET uidnext = ? WHERE account_id = ? AND mailbox_id = ? AND uidnext <= ?",
					in.UID, account, m.ID, in.UID)
				if err != nil {
					return err
				}
				if n == 0 {
					return status.Perm(554, 6, 0, "Import: a UID is below the mailbox's UIDNEXT")
				}
			}
			modseq, id, err := t.newEmail(account, &in.Email)
			if err != nil {
				return err
			}
			e := Entry{Email: id, Flags: in.Flags, Keywords: in.Keywords, ModSeq: modseq, Size: in.Email.Size,
				InternalDate: in.Email.Received.Unix()}
			if err := t.addEntry(account, m.ID, &e, in.UIDL); err != nil {
				return err
			}
		}
		return nil
	})
}

// ImportUIDs sets UIDVALIDITY and UIDNEXT of an empty mailbox, before Import. UIDNEXT may also be raised afterwards.
func (s *Store) ImportUIDs(ctx context.Context, account int64, mailbox Name, uidValidity, uidNext uint32) error {
	return s.write(ctx, func(t *txn) error {
		m, err := findMailbox(t.Tx, account, mailbox)
		if err != nil {
			return err
		}
		if uidValidity == 0 || uidValidity != m.UIDValidity && m.UIDNext != 1 || uidNext < m.UIDNext {
			return status.Perm(554, 6, 0, "Import: UIDVALIDITY can be set on a mailbox never used, and UIDNEXT only raised")
		}
		if _, err := t.Exec("UPDATE mailbox SET uidvalidity = ?, uidnext = ? WHERE account_id = ? AND mailbox_id = ?",
			uidValidity, uidNext, account, m.ID); err != nil {
			return err
		}
		if uidValidity != m.UIDValidity {
			t.changed(Change{Account: account, Mailbox: m.ID, Gone: true})
		}
		_, err = t.Exec("UPDATE account_state SET uidvalidity = ? WHERE account_id = ? AND uidvalidity < ?",
			uidValidity, account, uidValidity)
		return err
	})
}
