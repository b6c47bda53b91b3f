package imapd

import (
	"context"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
)

// account is one session's account.
type account struct {
	agent      *Agent
	id         int64
	by         string // for tombstones
	namespaces imap.Namespaces
}

func (a *account) Namespaces() imap.Namespaces { return a.namespaces }

func (a *account) Close() {}

func (a *account) Mailboxes(ctx context.Context) ([]imap.MailboxInfo, error) {
	boxes, err := a.agent.Store.Mailboxes(ctx, a.id)
	if err != nil {
		return nil, err
	}
	subs, err := a.agent.Store.Subscriptions(ctx, a.id)
	if err != nil {
		return nil, err
	}
	list := make([]imap.MailboxInfo, 0, len(boxes))
	at := 0 // in subs: both lists ascend by name, so one pass joins them
	for _, m := range boxes {
		for at < len(subs) && slices.Compare(subs[at], m.Name) < 0 {
			list = append(list, imap.MailboxInfo{Name: imap.Name(subs[at]), Subscribed: true})
			at++
		}
		info := imap.MailboxInfo{Name: imap.Name(m.Name), Exists: true, Status: a.counters(m)}
		if m.Role != "" {
			info.Use = []string{`\` + strings.ToUpper(m.Role[:1]) + m.Role[1:]}
		}
		if at < len(subs) && subs[at].Equal(m.Name) {
			info.Subscribed = true
			at++
		}
		list = append(list, info)
	}
	for _, n := range subs[at:] {
		list = append(list, imap.MailboxInfo{Name: imap.Name(n), Subscribed: true})
	}
	return list, nil
}

func (a *account) counters(m mailstore.Mailbox) imap.Status {
	return imap.Status{ID: a.idOf(m), Messages: uint32(m.Messages), UIDNext: m.UIDNext, UIDValidity: m.UIDValidity, Unseen: uint32(m.Unseen),
		Deleted: uint32(m.Deleted), Size: m.Bytes, ModSeq: uint64(m.ModSeq)}
}

func (a *account) Status(ctx context.Context, name imap.Name) (imap.Status, error) {
	m, err := a.agent.Store.Mailbox(ctx, a.id, mailstore.Name(name))
	return a.counters(m), refusal(err)
}

func (a *account) DeletedSize(ctx context.Context, name imap.Name) (int64, error) {
	m, err := a.agent.Store.Mailbox(ctx, a.id, mailstore.Name(name))
	if err != nil || m.Deleted == 0 {
		return 0, refusal(err)
	}
	return a.agent.Store.DeletedBytes(ctx, a.id, m.ID)
}

// idOf names a mailbox to the engine.
func (a *account) idOf(m mailstore.Mailbox) imap.MailboxID {
	return imap.MailboxID{Account: a.id, Mailbox: m.ID, UIDValidity: m.UIDValidity}
}

func (a *account) Create(ctx context.Context, name imap.Name, use string) (imap.MailboxID, error) {
	n, err := mailstore.MakeName(name...)
	if err != nil {
		return imap.MailboxID{}, err
	}
	m, err := a.agent.Store.CreateMailbox(ctx, a.id, n, strings.ToLower(strings.TrimPrefix(use, `\`)))
	return a.idOf(m), refusal(err)
}

// Quota has no limit of messages: the store has none.
func (a *account) Quota(ctx context.Context) (imap.Quota, error) {
	u, err := a.agent.Store.Usage(ctx, a.id)
	return imap.Quota{Bytes: u.Bytes, MaxBytes: u.Quota, Messages: u.Messages}, err
}

func (a *account) Delete(ctx context.Context, name imap.Name) error {
	return refusal(a.agent.Store.DeleteMailbox(ctx, a.id, mailstore.Name(name), a.by))
}

func (a *account) Rename(ctx context.Context, from, to imap.Name) error {
	n, err := mailstore.MakeName(to...)
	if err != nil {
		return err
	}
	return refusal(a.agent.Store.RenameMailbox(ctx, a.id, mailstore.Name(from), n, a.by))
}

func (a *account) Subscribe(ctx context.Context, name imap.Name, on bool) error {
	n, err := mailstore.MakeName(name...)
	if err != nil {
		return err
	}
	if on {
		return a.agent.Store.Subscribe(ctx, a.id, n)
	}
	return a.agent.Store.Unsubscribe(ctx, a.id, n)
}

func (a *account) Select(ctx context.Context, name imap.Name) (imap.Mailbox, error) {
	m, err := a.agent.Store.Mailbox(ctx, a.id, mailstore.Name(name))
	if err != nil {
		return nil, refusal(err)
	}
	return &mailbox{account: a, id: a.idOf(m)}, nil
}
