package imaptest

import (
	"context"
	"io"
	"slices"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/view"
)

type account struct {
	s *Store
	u *user
}

func (a *account) Namespaces() imap.Namespaces { return imap.Namespaces{Separator: "/"} }

func (a *account) Close() {}

func (a *account) Mailboxes(context.Context) ([]imap.MailboxInfo, error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	var out []imap.MailboxInfo
	for _, m := range a.u.mailboxes {
		_, sub := a.u.subs[key(m.name)]
		in := imap.MailboxInfo{Name: m.name, Exists: true, Subscribed: sub, Status: m.status()}
		if m.use != "" {
			in.Use = []string{m.use}
		}
		out = append(out, in)
	}
	for _, n := range a.u.subs {
		if a.u.find(n) == nil {
			out = append(out, imap.MailboxInfo{Name: n, Subscribed: true})
		}
	}
	return out, nil
}

func (m *mailbox) status() imap.Status {
	st := imap.Status{ID: m.id, Messages: uint32(len(m.list)), UIDNext: m.uidNext, UIDValidity: m.id.UIDValidity, ModSeq: m.user.modseq}
	for i := range m.list {
		if m.list[i].Flags.System&view.Seen == 0 {
			st.Unseen++
		}
		if m.list[i].Flags.System&view.Deleted != 0 {
			st.Deleted++
		}
		st.Size += int64(len(m.list[i].raw))
	}
	return st
}

func (a *account) Status(_ context.Context, name imap.Name) (imap.Status, error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	m := a.u.find(name)
	if m == nil {
		return imap.Status{}, imap.ErrNonexistent
	}
	return m.status(), nil
}

func (a *account) Create(_ context.Context, name imap.Name, use string) (imap.MailboxID, error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.u.find(name) != nil {
		return imap.MailboxID{}, imap.ErrExists
	}
	return a.u.createAll(name, use).id, nil
}

func (a *account) DeletedSize(_ context.Context, name imap.Name) (n int64, err error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	m := a.u.find(name)
	if m == nil {
		return 0, imap.ErrNonexistent
	}
	for i := range m.list {
		if m.list[i].Flags.System&view.Deleted != 0 {
			n += int64(len(m.list[i].raw))
		}
	}
	return n, nil
}

func (a *account) Quota(context.Context) (imap.Quota, error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	q := imap.Quota{MaxBytes: a.s.quota}
	for _, m := range a.u.mailboxes {
		st := m.status()
		q.Bytes, q.Messages = q.Bytes+st.Size, q.Messages+int64(st.Messages)
	}
	return q, nil
}

// createAll makes a mailbox and the levels above it.
func (u *user) createAll(name imap.Name, use string) *mailbox {
	for depth := 1; depth < len(name); depth++ {
		if u.find(name[:depth]) == nil {
			u.create(name[:depth], "")
		}
	}
	return u.create(name, use)
}

func (a *account) Delete(_ context.Context, name imap.Name) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	m := a.u.find(name)
	if m == nil {
		return imap.ErrNonexistent
	}
	a.u.mailboxes = slices.DeleteFunc(a.u.mailboxes, func(x *mailbox) bool { return x == m })
	a.s.feed(m, view.Event{Gone: true})
	return nil
}

func (a *account) Rename(_ context.Context, from, to imap.Name) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	m := a.u.find(from)
	switch {
	case m == nil:
		return imap.ErrNonexistent
	case a.u.find(to) != nil:
		return imap.ErrExists
	}
	if len(from) == 1 && from[0] == "INBOX" {
		a.moveAll(m, a.u.createAll(to, ""))
		return nil
	}
	for depth := 1; depth < len(to); depth++ {
		if a.u.find(to[:depth]) == nil {
			a.u.create(to[:depth], "")
		}
	}
	for _, x := range a.u.mailboxes {
		if len(x.name) >= len(from) && key(x.name[:len(from)]) == key(from) {
			x.name = append(slices.Clone(to), x.name[len(from):]...)
		}
	}
	return nil
}

func (a *account) moveAll(from, to *mailbox) {
	var gone []uint32
	for _, msg := range from.list {
		to.add(msg.email, msg.Flags, msg.date, a.s.clock())
		gone = append(gone, msg.UID)
	}
	from.list = nil
	a.u.modseq++
	from.bury(gone)
	a.s.feed(from, view.Event{ModSeq: a.u.modseq, Expunged: gone})
}

func (a *account) Subscribe(_ context.Context, name imap.Name, on bool) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if on {
		a.u.subs[key(name)] = slices.Clone(name)
	} else {
		delete(a.u.subs, key(name))
	}
	return nil
}

func (a *account) Select(_ context.Context, name imap.Name) (imap.Mailbox, error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	m := a.u.find(name)
	if m == nil {
		return nil, imap.ErrNonexistent
	}
	return &open{a.s, m}, nil
}

func (a *account) Append(_ context.Context, to imap.AppendTarget) (imap.Appender, error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.u.find(to.Name) == nil {
		return nil, imap.ErrNonexistent
	}
	return &appender{a: a, to: to}, nil
}

// appender collects the messages of one APPEND.
type appender struct {
	a    *account
	to   imap.AppendTarget
	list []message
}

func (p *appender) Close() {}

func (p *appender) Add(_ context.Context, msg *imap.AppendMessage) error {
	raw, err := io.ReadAll(msg.Body)
	if err != nil {
		return err
	}
	p.list = append(p.list, message{Message: view.Message{Flags: msg.Flags}, date: msg.Date, email: newEmail(raw)})
	return nil
}

func (p *appender) Commit(context.Context) (imap.AppendResult, error) {
	s, u := p.a.s, p.a.u
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return imap.AppendResult{}, s.fail
	}
	m := u.find(p.to.Name)
	if m == nil {
		return imap.AppendResult{}, imap.ErrNonexistent
	}
	var old *open
	if r := p.to.Replaces; r != nil {
		old = &open{s, s.byID(r.Mailbox)}
		if _, there := old.m.index(r.UID); !there {
			return imap.AppendResult{}, imap.Coded("EXPUNGEISSUED", status.Perm(550, 6, 0, "Gone"))
		}
	}
	res := imap.AppendResult{UIDValidity: m.id.UIDValidity}
	for _, msg := range p.list {
		if msg.date.IsZero() {
			msg.date = s.clock()
		}
		res.UIDs = append(res.UIDs, m.add(msg.email, msg.Flags, msg.date, s.clock()))
		s.feedLast(m, 1)
	}
	if old != nil {
		old.expunge([]uint32{p.to.Replaces.UID})
	}
	return res, nil
}
