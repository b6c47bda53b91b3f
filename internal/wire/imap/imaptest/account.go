package imaptest

import (
	"context"
	"io"
	"slices"

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
	st := imap.Status{Messages: uint32(len(m.list)), UIDNext: m.uidNext, UIDValidity: m.id.UIDValidity, ModSeq: m.user.modseq}
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

func (a *account) Create(_ context.Context, name imap.Name, use string) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.u.find(name) != nil {
		return imap.ErrExists
	}
	a.u.createAll(name, use)
	return nil
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

func (a *account) Append(_ context.Context, name imap.Name, msg *imap.AppendMessage) (imap.AppendResult, error) {
	raw, err := io.ReadAll(msg.Body)
	if err != nil {
		return imap.AppendResult{}, err
	}
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.s.fail != nil {
		return imap.AppendResult{}, a.s.fail
	}
	m := a.u.find(name)
	if m == nil {
		return imap.AppendResult{}, imap.ErrNonexistent
	}
	date := msg.Date
	if date.IsZero() {
		date = a.s.clock()
	}
	uid := m.add(newEmail(raw), msg.Flags, date, a.s.clock())
	a.s.feedLast(m, 1)
	return imap.AppendResult{UIDValidity: m.id.UIDValidity, UID: uid}, nil
}
