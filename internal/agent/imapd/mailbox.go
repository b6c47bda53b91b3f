package imapd

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/view"
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

// Messages reads what is wanted. Sizes and dates stand in the entries; the emails are read for more only.
func (m *mailbox) Messages(ctx context.Context, uids []uint32, want imap.Want, dst []imap.Message) ([]imap.Message, error) {
	entries, err := m.store().Entries(ctx, m.id.Account, m.id.Mailbox, ranges(uids))
	if err != nil {
		return dst, err
	}
	first := len(dst)
	for _, e := range entries {
		date := time.Unix(e.InternalDate, 0)
		dst = append(dst, imap.Message{UID: e.UID, Size: e.Size, InternalDate: date, Saved: date})
	}
	if want&(imap.WantStructure|imap.WantBody) == 0 {
		return dst, nil
	}
	return dst, m.emails(ctx, entries, want, dst[first:])
}

// emails fills in what only the emails know: entries[i] is messages[i].
func (m *mailbox) emails(ctx context.Context, entries []mailstore.Entry, want imap.Want, messages []imap.Message) error {
	order := make([]int, len(entries)) // by email id; copies in one mailbox share one
	ids := make([]int64, 0, len(entries))
	for i := range entries {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(entries[a].Email, entries[b].Email) })
	for _, i := range order {
		if n := len(ids); n == 0 || ids[n-1] != entries[i].Email {
			ids = append(ids, entries[i].Email)
		}
	}
	next := 0
	var bodies []mailstore.Email // read after the snapshot has ended: packs are slow
	err := m.store().Emails(ctx, m.id.Account, ids, func(e *mailstore.Email) error {
		for next < len(order) && entries[order[next]].Email < e.ID {
			next++
		}
		for ; next < len(order) && entries[order[next]].Email == e.ID; next++ {
			msg := &messages[order[next]]
			if want&imap.WantStructure != 0 {
				structure, err := mime.Decode(e.Structure)
				if err == nil {
					err = structure.Shift(int64(len(e.Literals)))
				}
				if err != nil {
					return err
				}
				msg.MIME = structure
			}
			if want&imap.WantBody != 0 {
				b := *e
				b.Literals, b.Structure = slices.Clone(e.Literals), nil
				bodies = append(bodies, b)
			}
		}
		return nil
	})
	if err != nil || want&imap.WantBody == 0 {
		return err
	}
	byID := make(map[int64]imap.Body, len(bodies))
	for i := range bodies {
		if byID[bodies[i].ID] != nil {
			continue
		}
		r, err := m.store().Open(ctx, &bodies[i])
		if err != nil {
			return err
		}
		byID[bodies[i].ID] = r
	}
	for i := range entries {
		if b := byID[entries[i].Email]; b != nil {
			messages[i].Body = b
		}
	}
	return nil
}

func (m *mailbox) Store(ctx context.Context, uids []uint32, op imap.StoreOp, flags view.Flags) (uint64, error) {
	words, err := keywords(flags)
	if err != nil {
		return 0, err
	}
	c := mailstore.FlagChange{Flags: mailstore.Flags(flags.System), Keywords: words}
	switch op {
	case imap.StoreAdd:
		c.Op = mailstore.AddFlags
	case imap.StoreRemove:
		c.Op = mailstore.RemoveFlags
	default:
		c.Op = mailstore.ReplaceFlags
	}
	changed, _, err := m.store().StoreFlags(ctx, m.id.Account, m.id.Mailbox, ranges(uids), c)
	if err != nil || len(changed) == 0 {
		return 0, notFound(err)
	}
	return uint64(changed[0].ModSeq), nil
}

func (m *mailbox) Expunge(ctx context.Context, uids []uint32) error {
	_, err := m.store().Remove(ctx, m.id.Account, m.id.Mailbox, ranges(uids), m.account.by)
	return notFound(err)
}

func (m *mailbox) Copy(ctx context.Context, uids []uint32, dest imap.Name) (imap.CopyResult, error) {
	validity, pairs, err := m.store().Copy(ctx, m.id.Account, m.id.Mailbox, ranges(uids), mailstore.Name(dest))
	return copied(validity, pairs), notFound(err)
}

func (m *mailbox) Move(ctx context.Context, uids []uint32, dest imap.Name) (imap.CopyResult, error) {
	validity, pairs, err := m.store().Move(ctx, m.id.Account, m.id.Mailbox, ranges(uids), mailstore.Name(dest), m.account.by)
	return copied(validity, pairs), notFound(err)
}

func copied(validity uint32, pairs []mailstore.Placed) imap.CopyResult {
	r := imap.CopyResult{UIDValidity: validity}
	for _, p := range pairs {
		r.Source, r.Dest = append(r.Source, p.From), append(r.Dest, p.To)
	}
	return r
}
