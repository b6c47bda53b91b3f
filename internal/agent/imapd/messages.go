package imapd

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
)

// fetch is the memory of one call of Messages. What is read inside a snapshot is copied into it, as it is stored; the
// snapshot ends, and the messages are decoded one after the other, so that only one is in memory in its large form: some 40
// times as large as stored, and whoever sends mail decides about it.
type fetch struct {
	entries []mailstore.Entry
	ids     []int64
	emails  []stored
	text    []byte // literals and structures of emails
	email   mailstore.Email
	decoder mime.Decoder
	body    []byte
	message imap.Message
}

// stored is an email of a fetch: its literals and then its structure stand in text from At on.
type stored struct {
	mailstore.Email
	literals, end int // offsets in text: the literals end, the structure ends
}

const (
	// maxStored is how much stored structure is read in one snapshot. Hundreds of ordinary messages are below.
	maxStored = 512 << 10
	// keepBody is the largest buffer for bodies that is kept for the next call.
	keepBody = 512 << 10
)

// inEmail is what only the email knows; sizes and dates stand in the entry.
const inEmail = imap.WantThread | imap.WantPreview | imap.WantEnvelope | imap.WantStructure | imap.WantBody

// Messages shows what is wanted.
func (m *mailbox) Messages(ctx context.Context, uids []uint32, want imap.Want, fn func(*imap.Message) error) error {
	f, _ := m.account.agent.fetches.Get().(*fetch)
	if f == nil {
		f = &fetch{}
	}
	defer func() {
		if cap(f.body) <= keepBody && cap(f.text) <= 2*maxStored {
			f.email, f.message = mailstore.Email{}, imap.Message{}
			m.account.agent.fetches.Put(f)
		}
	}()
	f.entries = f.entries[:0]
	dates := want&(imap.WantSize|imap.WantDate) != 0
	err := m.store().EachEntry(ctx, m.id.Account, m.id.Mailbox, ranges(uids), dates, func(e *mailstore.Entry) { f.entries = append(f.entries, *e) })
	if err != nil {
		return err
	}
	if want&inEmail != 0 {
		return m.showEmails(ctx, f, f.entries, want, fn)
	}
	for i := range f.entries {
		f.begin(&f.entries[i])
		if err := fn(&f.message); err != nil {
			return err
		}
	}
	return nil
}

// begin fills in what the entry knows.
func (f *fetch) begin(e *mailstore.Entry) {
	f.message = imap.Message{UID: e.UID, Size: e.Size, InternalDate: time.Unix(e.InternalDate, 0), Saved: time.Unix(e.Saved, 0), Email: uint64(e.Email)}
}

var (
	errHeavy   = errors.New("too much structure for one snapshot")
	errNoEmail = errors.New("the entry has no email")
)

// showEmails reads the emails of entries and shows the messages; of too much structure first one half and then the other.
func (m *mailbox) showEmails(ctx context.Context, f *fetch, entries []mailstore.Entry, want imap.Want, fn func(*imap.Message) error) error {
	if len(entries) == 0 {
		return nil
	}
	err := m.readEmails(ctx, f, entries, want)
	if err == errHeavy {
		half := len(entries) / 2
		if err := m.showEmails(ctx, f, entries[:half], want, fn); err != nil {
			return err
		}
		return m.showEmails(ctx, f, entries[half:], want, fn)
	}
	if err != nil {
		return err
	}
	text := string(f.text) // one copy for all the strings of all messages
	at := 0
	for i := range entries {
		e := &entries[i]
		if at >= len(f.emails) || f.emails[at].ID != e.Email { // most mailboxes have their emails in order
			at, _ = slices.BinarySearchFunc(f.emails, e.Email, func(s stored, id int64) int { return cmp.Compare(s.ID, id) })
		}
		f.begin(e)
		err := errNoEmail
		if at < len(f.emails) && f.emails[at].ID == e.Email {
			err = m.show(ctx, f, text, at, want)
			at++
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			m.account.agent.Log.Error("message cannot be read", "account", m.id.Account, "mailbox", m.id.Mailbox, "uid", e.UID,
				"email", e.Email, "error", err)
			f.message = imap.Message{UID: e.UID, Damaged: true}
		}
		if err := fn(&f.message); err != nil {
			return err
		}
	}
	return nil
}

// readEmails takes over, in one snapshot, what is stored of the emails.
func (m *mailbox) readEmails(ctx context.Context, f *fetch, entries []mailstore.Entry, want imap.Want) error {
	f.ids = f.ids[:0]
	for i := range entries {
		f.ids = append(f.ids, entries[i].Email)
	}
	slices.Sort(f.ids)
	f.ids = slices.Compact(f.ids) // copies in one mailbox share one
	f.emails, f.text = f.emails[:0], f.text[:0]
	// Where a stored structure cannot be read, the body has to be: so refs are read with every structure.
	refs := want&(imap.WantBody|imap.WantStructure|imap.WantEnvelope|imap.WantPreview) != 0
	return m.store().Stored(ctx, m.id.Account, f.ids, refs, func(e *mailstore.Email) error {
		if len(f.text)+len(e.Structure) > maxStored && len(entries) > 1 {
			return errHeavy
		}
		f.text = append(f.text, e.Literals...)
		s := stored{Email: *e, literals: len(f.text)}
		f.text = append(f.text, e.Structure...)
		s.end = len(f.text)
		f.emails = append(f.emails, s)
		return nil
	})
}

// show fills in what the email knows.
func (m *mailbox) show(ctx context.Context, f *fetch, text string, at int, want imap.Want) error {
	s := &f.emails[at]
	begin := 0
	if at > 0 {
		begin = f.emails[at-1].end
	}
	f.email = s.Email
	f.email.Literals, f.email.Structure = f.text[begin:s.literals:s.literals], nil
	f.message.Thread = uint64(s.Thread)
	structure, err := f.decode(text[s.literals:s.end], int64(s.literals-begin), want)
	if err == nil && want&imap.WantBody == 0 {
		f.fill(structure, want)
		return nil
	}
	body, openErr := m.store().OpenInto(ctx, &f.email, &f.body)
	if openErr != nil {
		return openErr
	}
	if err != nil { // the structure must be found anew
		p := mime.NewParser()
		if _, err := io.Copy(p, io.NewSectionReader(body, 0, body.Size())); err != nil {
			return err
		}
		structure = p.Close()
	}
	f.message.Body = body
	f.fill(structure, want)
	return nil
}

// decode reads what is wanted of the stored structure; the message begins with that many bytes of literals.
func (f *fetch) decode(s string, literals int64, want imap.Want) (*mime.Message, error) {
	switch {
	case want&imap.WantStructure != 0 || want&imap.WantEnvelope != 0 && want&imap.WantPreview != 0:
		m, err := f.decoder.Decode(s)
		if err == nil {
			err = m.Shift(literals)
		}
		return m, err
	case want&imap.WantEnvelope != 0:
		return f.decoder.Envelope(s)
	case want&imap.WantPreview != 0:
		return f.decoder.Facts(s)
	}
	return nil, nil
}

// fill fills in what the structure tells.
func (f *fetch) fill(s *mime.Message, want imap.Want) {
	if s == nil {
		return
	}
	f.message.Preview = s.Preview
	if want&(imap.WantStructure|imap.WantEnvelope) != 0 {
		f.message.MIME = s
	}
}
