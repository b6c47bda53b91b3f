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
		uids = make([]uint32, 0, len(a.Messages))
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
		for i := range a.Messages {
			in := &a.Messages[i]
			modseq, id, err := t.newEmail(a.Account, &in.Email)
			if err != nil {
				return err
			}
			e := Entry{Email: id, Flags: in.Flags, Keywords: in.Keywords, ModSeq: modseq, Size: in.Email.Size,
				InternalDate: in.Email.Received.Unix()}
			if err := t.addEntry(a.Account, m.ID, &e, ""); err != nil {
				return err
			}
			uids = append(uids, e.UID)
		}
		uidValidity = m.UIDValidity
		if len(old) > 0 {
			_, err = t.remove(a.Account, a.Replaces.Mailbox, old, a.By)
		}
		return err
	})
	return uidValidity, uids, err
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
