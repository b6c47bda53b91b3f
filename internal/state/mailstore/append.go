package mailstore

import (
	"context"

	"github.com/postrider/postrider/internal/mail/status"
)

// NewEntry is a message that a client puts into a mailbox.
type NewEntry struct {
	Flags    Flags
	Keywords string // canonical
	Email    NewEmail
}

// Append is messages that a client puts into a mailbox together (RFC 9051 §6.3.12, RFC 3502).
type Append struct {
	Account  int64
	Mailbox  Name
	Messages []NewEntry
	Replaces *Replaced // nil: none
	By       string    // for the tombstone of what is replaced
}

// Replaced is an entry that goes when the new message comes, RFC 8508. It may be in another mailbox of the account.
type Replaced struct {
	Mailbox int64
	UID     uint32
}

// Append stores messages in a mailbox, and removes the one they replace, in one transaction: all or nothing. When it
// returns without error they are there for good; uids are theirs, ascending. Beyond the quota it returns status.ErrQuota; a
// message to replace that is no longer there is ErrGone.
func (s *Store) Append(ctx context.Context, a *Append) (uidValidity uint32, uids []uint32, err error) {
	err = s.write(ctx, func(t *txn) error {
		m, err := findMailbox(t.Tx, a.Account, a.Mailbox)
		if err != nil {
			return err
		}
		old, err := t.replaced(a)
		if err != nil {
			return err
		}
		if err := t.appendRoom(a, old); err != nil {
			return err
		}
		if uids, err = t.appendAll(a, m.ID); err != nil {
			return err
		}
		uidValidity = m.UIDValidity
		if len(old) > 0 {
			_, err = t.remove(a.Account, a.Replaces.Mailbox, old, a.By)
		}
		return err
	})
	return uidValidity, uids, err
}

// appendAll writes the messages of a into a mailbox.
func (t *txn) appendAll(a *Append, mailbox int64) ([]uint32, error) {
	if len(a.Messages) == 0 {
		return nil, nil
	}
	emails := make([]*NewEmail, len(a.Messages))
	for i := range a.Messages {
		emails[i] = &a.Messages[i].Email
	}
	modseq, first, err := t.newEmails(a.Account, emails)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(a.Messages))
	for i := range entries {
		in := &a.Messages[i]
		entries[i] = in.Email.entry(first+int64(i), modseq)
		entries[i].Flags, entries[i].Keywords = in.Flags, in.Keywords
	}
	if err := t.addEntries(a.Account, mailbox, entries, ""); err != nil {
		return nil, err
	}
	uids := make([]uint32, len(entries))
	for i := range entries {
		uids[i] = entries[i].UID
	}
	return uids, nil
}

// ErrGone refuses to replace a message that somebody else has removed.
var ErrGone = status.Perm(550, 6, 0, "The message to replace no longer exists")

// replaced reads the entry that goes.
func (t *txn) replaced(a *Append) ([]Entry, error) {
	if a.Replaces == nil {
		return nil, nil
	}
	old, err := t.entries(a.Account, a.Replaces.Mailbox, []Range{{a.Replaces.UID, a.Replaces.UID}}, true)
	if err == nil && len(old) == 0 {
		err = ErrGone
	}
	return old, err
}

// appendRoom counts what comes against what goes: a draft can be replaced in a full account when it does not grow.
func (t *txn) appendRoom(a *Append, old []Entry) error {
	var more int64
	for i := range a.Messages {
		more += a.Messages[i].Email.Size
	}
	for _, e := range old {
		more -= e.Size
	}
	if len(old) > 0 && more <= 0 {
		return nil
	}
	return t.room(a.Account, more)
}
