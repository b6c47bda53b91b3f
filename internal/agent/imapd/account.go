package imapd

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
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
	for _, m := range boxes {
		info := imap.MailboxInfo{Name: imap.Name(m.Name), Exists: true, Status: counters(m)}
		if m.Role != "" {
			info.Use = []string{`\` + strings.ToUpper(m.Role[:1]) + m.Role[1:]}
		}
		if i := slices.IndexFunc(subs, m.Name.Equal); i >= 0 {
			info.Subscribed = true
			subs = slices.Delete(subs, i, i+1)
		}
		list = append(list, info)
	}
	for _, n := range subs {
		list = append(list, imap.MailboxInfo{Name: imap.Name(n), Subscribed: true})
	}
	return list, nil
}

func counters(m mailstore.Mailbox) imap.Status {
	return imap.Status{Messages: uint32(m.Messages), UIDNext: m.UIDNext, UIDValidity: m.UIDValidity, Unseen: uint32(m.Unseen),
		Deleted: uint32(m.Deleted), Size: m.Bytes, ModSeq: uint64(m.ModSeq)}
}

func (a *account) Status(ctx context.Context, name imap.Name) (imap.Status, error) {
	m, err := a.agent.Store.Mailbox(ctx, a.id, mailstore.Name(name))
	return counters(m), refusal(err)
}

func (a *account) Create(ctx context.Context, name imap.Name, use string) error {
	n, err := mailstore.MakeName(name...)
	if err != nil {
		return err
	}
	_, err = a.agent.Store.CreateMailbox(ctx, a.id, n, strings.ToLower(strings.TrimPrefix(use, `\`)))
	return refusal(err)
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
	return &mailbox{account: a, id: imap.MailboxID{Account: a.id, Mailbox: m.ID, UIDValidity: m.UIDValidity}}, nil
}

// Append takes a message: durable in the pack, then in the mailbox, then it has its UID.
func (a *account) Append(ctx context.Context, name imap.Name, am *imap.AppendMessage) (imap.AppendResult, error) {
	var none imap.AppendResult
	// Known to fail is better said before the bytes than after.
	box, err := a.agent.Store.Mailbox(ctx, a.id, mailstore.Name(name))
	if err != nil {
		return none, refusal(err)
	}
	usage, err := a.agent.Store.Usage(ctx, a.id)
	if err != nil {
		return none, err
	}
	if usage.Full(am.Size) {
		return none, status.ErrQuota
	}
	words, err := keywords(am.Flags)
	if err != nil {
		return none, err
	}
	date := am.Date
	if date.IsZero() {
		date = a.agent.Now()
	}
	id := a.agent.IDs.Next()
	m, err := a.agent.Intake.Begin(ctx, id, am.Size)
	if err != nil {
		return none, err
	}
	defer m.Abort()
	if _, err := io.Copy(m, am.Body); err != nil {
		return none, err
	}
	m.Close()
	structure := m.Index.Encode()
	ref, err := m.Store(ctx, &flow.Append{ID: id, Account: a.id, Mailbox: box.Name, Flags: uint8(am.Flags.System), Keywords: words,
		InternalDate: date, Message: recipe.Whole(m.Self()), Index: structure})
	if err != nil {
		return none, err
	}
	defer a.agent.Intake.Settled(ref)
	env := &m.Index.Envelope
	validity, uids, err := a.agent.Store.Append(ctx, &mailstore.Append{Account: a.id, Mailbox: box.Name, By: a.by, Messages: []mailstore.NewEntry{{Flags: mailstore.Flags(am.Flags.System),
		Keywords: words, Email: mailstore.NewEmail{Ref: ref, Size: m.Size(), Received: date, Structure: structure,
			Thread: mailstore.Threading{MessageID: env.ID(), InReplyTo: env.RepliesTo(), References: m.Index.References}}}}})
	if err != nil {
		return none, refusal(err)
	}
	return imap.AppendResult{UIDValidity: validity, UID: uids[0]}, nil
}
