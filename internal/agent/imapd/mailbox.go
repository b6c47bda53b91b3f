package imapd

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/mime"
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

// Messages reads what is wanted. Sizes and dates stand in the entries; the emails are read for more only.
func (m *mailbox) Messages(ctx context.Context, uids []uint32, want imap.Want, dst []imap.Message) ([]imap.Message, error) {
	entries, err := m.store().Entries(ctx, m.id.Account, m.id.Mailbox, ranges(uids))
	if err != nil {
		return dst, err
	}
	first := len(dst)
	for _, e := range entries {
		date := time.Unix(e.InternalDate, 0)
		dst = append(dst, imap.Message{UID: e.UID, Size: e.Size, InternalDate: date, Saved: time.Unix(e.Saved, 0), Email: uint64(e.Email)})
	}
	if want&(imap.WantThread|imap.WantPreview|imap.WantStructure|imap.WantBody) == 0 {
		return dst, nil
	}
	damaged, err := m.emails(ctx, entries, want, dst[first:])
	for heavy := errHeavy(0); errors.As(err, &heavy); {
		entries = entries[:max(int(heavy), 1)]
		damaged, err = m.emails(ctx, entries, want, dst[first:])
	}
	if err != nil {
		return dst, err
	}
	for i := first + len(entries); i < len(dst); i++ {
		dst[i] = imap.Message{UID: dst[i].UID, Later: true}
	}
	for i, e := range entries {
		if err := damaged[e.Email]; err != nil {
			m.account.agent.Log.Error("message cannot be read", "account", m.id.Account, "mailbox", m.id.Mailbox, "uid", e.UID,
				"email", e.Email, "error", err)
			dst[first+i] = imap.Message{UID: e.UID, Damaged: true}
		}
	}
	return dst, nil
}

// maxStructures is how much stored structure is decoded at once: in memory it is some 40 times as large, and whoever sends
// mail decides about it. Hundreds of ordinary messages are below.
const maxStructures = 512 << 10

// errHeavy: several emails have more structure than that; as many as it says do not.
type errHeavy int

func (errHeavy) Error() string { return "too much structure at once" }

// emails fills in what only the emails know: entries[i] is messages[i]. It returns the emails that cannot be read.
func (m *mailbox) emails(ctx context.Context, entries []mailstore.Entry, want imap.Want, messages []imap.Message) (map[int64]error, error) {
	places := make(map[int64][]int, len(entries)) // of an email in entries: copies in one mailbox share one
	ids := make([]int64, 0, len(entries))
	for i, e := range entries {
		if places[e.Email] == nil {
			ids = append(ids, e.Email)
		}
		places[e.Email] = append(places[e.Email], i)
	}
	slices.Sort(ids)
	type opening struct {
		mailstore.Email
		parse bool // its structure must be found anew
	}
	var open []opening // opened after the snapshot has ended: packs are slow
	weight, n := 0, 0
	err := m.store().Emails(ctx, m.id.Account, ids, func(e *mailstore.Email) error {
		if weight += len(e.Structure); want&imap.WantStructure != 0 && weight > maxStructures && len(entries) > 1 {
			return errHeavy(n)
		}
		n++
		structure, ok := structureOf(e, want)
		for _, i := range places[e.ID] {
			messages[i].Thread = uint64(e.Thread)
			show(&messages[i], structure, want)
		}
		if want&imap.WantBody != 0 || !ok {
			b := opening{*e, !ok}
			b.Literals, b.Structure = slices.Clone(e.Literals), nil
			open = append(open, b)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	damaged := map[int64]error{}
	for i := range open {
		e := &open[i]
		body, structure, err := m.open(ctx, &e.Email, e.parse)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			damaged[e.ID] = err
			continue
		}
		for _, i := range places[e.ID] {
			messages[i].Body = body
			show(&messages[i], structure, want)
		}
	}
	for i, e := range entries {
		msg := &messages[i]
		if damaged[e.Email] == nil && (msg.Thread == 0 || want&imap.WantBody != 0 && msg.Body == nil || want&imap.WantStructure != 0 && msg.MIME == nil) {
			damaged[e.Email] = errNoEmail
		}
	}
	return damaged, nil
}

var errNoEmail = errors.New("the entry has no email")

// structureOf decodes what is wanted of the stored structure; false when it cannot be read.
func structureOf(e *mailstore.Email, want imap.Want) (s *mime.Message, ok bool) {
	var err error
	switch {
	case want&imap.WantStructure != 0:
		if s, err = mime.Decode(e.Structure); err == nil {
			err = s.Shift(int64(len(e.Literals)))
		}
	case want&imap.WantPreview != 0:
		s, err = mime.DecodeFacts(e.Structure)
	}
	if err != nil {
		return nil, false
	}
	return s, true
}

// show fills in what the structure tells.
func show(msg *imap.Message, s *mime.Message, want imap.Want) {
	if s == nil {
		return
	}
	msg.Preview = s.Preview
	if want&imap.WantStructure != 0 {
		msg.MIME = s
	}
}

// open returns an email's bytes and, where the stored one cannot be read, its structure found anew.
func (m *mailbox) open(ctx context.Context, e *mailstore.Email, parse bool) (imap.Body, *mime.Message, error) {
	r, err := m.store().Open(ctx, e)
	if err != nil || !parse {
		return r, nil, err
	}
	p := mime.NewParser()
	if _, err := io.Copy(p, io.NewSectionReader(r, 0, r.Size())); err != nil {
		return nil, nil, err
	}
	return r, p.Close(), nil
}

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
	if len(changed) > 0 {
		res.ModSeq = uint64(changed[0].ModSeq)
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
