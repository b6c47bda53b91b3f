package node

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/state/mailstore"
)

func (a *api) Mailboxes(ctx context.Context, account string) ([]admin.Mailbox, error) {
	acc, err := a.find(ctx, account)
	if err != nil {
		return nil, err
	}
	boxes, err := a.store.Mailboxes(ctx, acc.ID)
	if err != nil {
		return nil, apiError(err)
	}
	list := make([]admin.Mailbox, len(boxes))
	for i, m := range boxes {
		list[i] = admin.Mailbox{Name: m.Name.Join(nameSeparator), Role: m.Role, Messages: m.Messages, Unseen: m.Unseen, Bytes: m.Bytes}
	}
	return list, nil
}

// nameSeparator stands between the levels of a mailbox's name in the operator's commands, whatever the account's own is.
const nameSeparator = "/"

// mailbox finds an account's mailbox by the name that a person typed.
func (a *api) mailbox(ctx context.Context, account, name string) (id int64, m mailstore.Mailbox, err error) {
	acc, err := a.find(ctx, account)
	if err != nil {
		return 0, m, err
	}
	parsed, err := mailstore.ParseName(name, nameSeparator)
	if err != nil {
		return 0, m, admin.Errorf(admin.Invalid, "%q is not a mailbox's name", name)
	}
	m, err = a.store.Mailbox(ctx, acc.ID, parsed)
	if errors.Is(err, mailstore.ErrNoMailbox) {
		boxes, listErr := a.store.Mailboxes(ctx, acc.ID)
		names := make([]string, len(boxes))
		for i, b := range boxes {
			names[i] = b.Name.Join(nameSeparator)
		}
		err = errors.Join(listErr, admin.Errorf(admin.NotFound, "%s has no mailbox %s; there are: %s", account, name, strings.Join(names, ", ")))
	}
	return acc.ID, m, apiError(err)
}

func (a *api) Messages(ctx context.Context, q admin.MessageQuery) ([]admin.Message, error) {
	account, box, err := a.mailbox(ctx, q.Account, q.Mailbox)
	if err != nil {
		return nil, err
	}
	limit := admin.MaxMessages
	if q.Limit > 0 {
		limit = min(limit, q.Limit)
	}
	var entries []mailstore.Entry
	if _, err := a.store.Snapshot(ctx, account, box.ID, func(e mailstore.Entry) {
		if entries = append(entries, e); len(entries) >= 2*limit { // only the newest are wanted
			entries = append(entries[:0], entries[len(entries)-limit:]...)
		}
	}); err != nil {
		return nil, apiError(err)
	}
	entries = entries[max(0, len(entries)-limit):]
	emails, err := a.emails(ctx, account, entries)
	if err != nil {
		return nil, apiError(err)
	}
	list := make([]admin.Message, 0, len(entries))
	for _, e := range entries {
		m := admin.Message{UID: e.UID, Received: time.Unix(e.InternalDate, 0), Size: e.Size, Flags: flagsOf(e)}
		if email := emails[e.Email]; email != nil {
			m.From, m.Subject = a.summary(ctx, email)
		}
		list = append(list, m)
	}
	return list, nil
}

// emails reads the emails of entries.
func (a *api) emails(ctx context.Context, account int64, entries []mailstore.Entry) (map[int64]*mailstore.Email, error) {
	ids := make([]int64, 0, len(entries))
	for _, e := range entries {
		ids = append(ids, e.Email)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	emails := make(map[int64]*mailstore.Email, len(ids))
	err := a.store.Emails(ctx, account, ids, func(e *mailstore.Email) error {
		keep := *e
		keep.Literals, keep.Structure = slices.Clone(e.Literals), nil
		emails[e.ID] = &keep
		return nil
	})
	return emails, err
}

// maxSummary is how much of a message is read for its line in a list, bytes.
const maxSummary = 16 << 10

// summary reads who wrote a message and about what. A message that cannot be read has a line all the same.
func (a *api) summary(ctx context.Context, e *mailstore.Email) (from, subject string) {
	r, err := a.store.Open(ctx, e)
	if err != nil {
		return "", "(unreadable: " + err.Error() + ")"
	}
	top, err := io.ReadAll(io.LimitReader(r, maxSummary))
	if err != nil {
		return "", "(unreadable: " + err.Error() + ")"
	}
	h, _ := header.Parse(top, maxSummary) // one that is too long has its beginning
	from, _ = h.Get("From")
	subject, _ = h.Get("Subject")
	return header.DecodeWords(header.DecodeRaw([]byte(from))), header.DecodeWords(header.DecodeRaw([]byte(subject)))
}

func flagsOf(e mailstore.Entry) []string {
	flags := []string{}
	for _, f := range []struct {
		flag mailstore.Flags
		name string
	}{{mailstore.Seen, `\Seen`}, {mailstore.Answered, `\Answered`}, {mailstore.Flagged, `\Flagged`}, {mailstore.Deleted, `\Deleted`}, {mailstore.Draft, `\Draft`}} {
		if e.Flags&f.flag != 0 {
			flags = append(flags, f.name)
		}
	}
	return append(flags, strings.Fields(e.Keywords)...)
}

func (a *api) Message(ctx context.Context, id admin.MessageID) (io.ReadCloser, error) {
	account, box, err := a.mailbox(ctx, id.Account, id.Mailbox)
	if err != nil {
		return nil, err
	}
	entries, err := a.store.Entries(ctx, account, box.ID, []mailstore.Range{{First: id.UID, Last: id.UID}})
	if err != nil {
		return nil, apiError(err)
	}
	emails, err := a.emails(ctx, account, entries)
	if err != nil {
		return nil, apiError(err)
	}
	if len(entries) == 0 || emails[entries[0].Email] == nil {
		return nil, admin.Errorf(admin.NotFound, "%s has no message with the UID %d in %s", id.Account, id.UID, id.Mailbox)
	}
	r, err := a.store.Open(ctx, emails[entries[0].Email])
	if err != nil {
		return nil, apiError(err)
	}
	return message{r}, nil
}
