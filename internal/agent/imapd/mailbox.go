package imapd

import (
	"context"

	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
)

// mailbox is an open mailbox of one session.
type mailbox struct {
	account *account
	id      imap.MailboxID
}

func (m *mailbox) ID() imap.MailboxID { return m.id }
func (m *mailbox) ReadOnly() bool     { return false }
func (m *mailbox) Close()             {}

func (m *mailbox) store() *mailstore.Store { return m.account.agent.Store }

func (m *mailbox) Store(ctx context.Context, uids []uint32, change imap.StoreChange) (res imap.StoreResult, err error) {
	words, err := keywords(change.Flags)
	if err != nil {
		return res, err
	}
	c := mailstore.FlagChange{Flags: mailstore.Flags(change.Flags.System), Keywords: words, Conditional: change.Conditional,
		UnchangedSince: int64(change.UnchangedSince)}
	switch change.Op {
	case imap.StoreAdd:
		c.Op = mailstore.AddFlags
	case imap.StoreRemove:
		c.Op = mailstore.RemoveFlags
	default:
		c.Op = mailstore.ReplaceFlags
	}
	changed, kept, err := m.store().StoreFlags(ctx, m.id.Account, m.id.Mailbox, ranges(uids), c)
	if err != nil {
		return res, refusal(err)
	}
	for i := range changed {
		if modseq := uint64(changed[i].ModSeq); i == 0 || res.ModSeqs[len(res.ModSeqs)-1] != modseq {
			res.ModSeqs = append(res.ModSeqs, modseq)
		}
	}
	res.Kept = kept
	return res, nil
}

func (m *mailbox) Vanished(ctx context.Context, since uint64) (uids []uint32, known bool, err error) {
	uids, known, err = m.store().Vanished(ctx, m.id.Account, m.id.Mailbox, int64(since))
	return uids, known, refusal(err)
}

func (m *mailbox) SearchObject(ctx context.Context, kind imap.ObjectKind, number uint64) ([]uint32, error) {
	if kind == imap.ThreadObject {
		return m.store().EntriesOfThread(ctx, m.id.Account, m.id.Mailbox, int64(number))
	}
	return m.store().EntriesOf(ctx, m.id.Account, m.id.Mailbox, int64(number))
}

func (m *mailbox) Expunge(ctx context.Context, uids []uint32) error {
	_, err := m.store().Expunge(ctx, m.id.Account, m.id.Mailbox, ranges(uids), m.account.by)
	return refusal(err)
}

func (m *mailbox) Copy(ctx context.Context, uids []uint32, dest imap.Name) (imap.CopyResult, error) {
	validity, pairs, err := m.store().Copy(ctx, m.id.Account, m.id.Mailbox, ranges(uids), mailstore.Name(dest))
	return copied(validity, pairs), refusal(err)
}

func (m *mailbox) Move(ctx context.Context, uids []uint32, dest imap.Name) (imap.CopyResult, error) {
	validity, pairs, err := m.store().Move(ctx, m.id.Account, m.id.Mailbox, ranges(uids), mailstore.Name(dest), m.account.by)
	return copied(validity, pairs), refusal(err)
}

func copied(validity uint32, pairs []mailstore.Placed) imap.CopyResult {
	r := imap.CopyResult{UIDValidity: validity}
	for _, p := range pairs {
		r.Source, r.Dest = append(r.Source, p.From), append(r.Dest, p.To)
	}
	return r
}
