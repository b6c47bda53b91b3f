package node

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// changeBatch is how many messages one transaction changes: others write in between.
const changeBatch = 1000

func (a *api) ChangeMail(ctx context.Context, c admin.MailChange) (n admin.Count, err error) {
	if c.Mailbox == "" {
		return n, admin.Errorf(admin.Invalid, "say in which mailbox")
	}
	s, err := a.newSearch(ctx, c.Account, c.Criteria)
	if err != nil {
		return n, err
	}
	defer s.close()
	_, box, err := a.mailbox(ctx, c.Account, c.Mailbox)
	if err != nil {
		return n, err
	}
	change, err := a.change(ctx, s.id, box, c)
	if err != nil {
		return n, err
	}
	m, err := s.open(ctx, box)
	if err != nil {
		return n, err
	}
	defer m.Close()
	uids, err := s.engine.Search(ctx, m, c.Criteria)
	if err != nil {
		return n, apiError(err)
	}
	for batch := range slices.Chunk(uids, changeBatch) {
		done, err := change(ranges(batch))
		if err != nil {
			return n, apiError(err)
		}
		n.Messages += done
	}
	return n, nil
}

// change returns what does the change to some messages, and tells how many it was done to.
func (a *api) change(ctx context.Context, account int64, box mailstore.Mailbox, c admin.MailChange) (func([]mailstore.Range) (int, error), error) {
	ops := map[admin.MailAction]mailstore.FlagOp{admin.AddFlags: mailstore.AddFlags, admin.RemoveFlags: mailstore.RemoveFlags,
		admin.ReplaceFlags: mailstore.ReplaceFlags}
	switch op, isFlags := ops[c.Action]; {
	case isFlags:
		change, err := flagChange(op, c.Flags)
		return func(r []mailstore.Range) (int, error) {
			changed, _, err := a.store.StoreFlags(ctx, account, box.ID, r, change)
			return len(changed), err
		}, err
	case c.Action == admin.Expunge:
		return func(r []mailstore.Range) (int, error) {
			gone, err := a.store.Remove(ctx, account, box.ID, r, operator)
			return len(gone), err
		}, nil
	case c.Action == admin.Move, c.Action == admin.Copy:
		to, err := a.destination(ctx, account, c)
		if err != nil {
			return nil, err
		}
		if c.Action == admin.Copy {
			return func(r []mailstore.Range) (int, error) {
				_, placed, err := a.store.Copy(ctx, account, box.ID, r, to)
				return len(placed), err
			}, nil
		}
		if to.Equal(box.Name) {
			return nil, admin.Errorf(admin.Invalid, "the messages are in %s already", c.To)
		}
		return func(r []mailstore.Range) (int, error) {
			_, placed, err := a.store.Move(ctx, account, box.ID, r, to, operator)
			return len(placed), err
		}, nil
	}
	return nil, admin.Errorf(admin.Invalid, "%q is none of the changes", c.Action)
}

// destination is the mailbox that messages go to; it is made where that is wanted.
func (a *api) destination(ctx context.Context, account int64, c admin.MailChange) (mailstore.Name, error) {
	if c.To == "" {
		return nil, admin.Errorf(admin.Invalid, "say to which mailbox")
	}
	name, err := mailstore.ParseName(c.To, nameSeparator)
	if err != nil {
		return nil, admin.Errorf(admin.Invalid, "%q is not a mailbox's name", c.To)
	}
	if c.Create {
		if _, err := a.store.CreateMailbox(ctx, account, name, ""); err != nil && !errors.Is(err, mailstore.ErrExists) {
			return nil, apiError(err)
		}
	}
	_, box, err := a.mailbox(ctx, c.Account, c.To)
	return box.Name, err
}

// flagChange reads flags: the five system flags with their backslash (RFC 9051 §2.3.2), in any case, and keywords.
func flagChange(op mailstore.FlagOp, words []string) (mailstore.FlagChange, error) {
	system := map[string]mailstore.Flags{`\seen`: mailstore.Seen, `\answered`: mailstore.Answered, `\flagged`: mailstore.Flagged,
		`\deleted`: mailstore.Deleted, `\draft`: mailstore.Draft}
	c := mailstore.FlagChange{Op: op}
	var keywords []string
	for _, w := range words {
		flag, ok := system[strings.ToLower(w)]
		switch {
		case ok:
			c.Flags |= flag
		case strings.HasPrefix(w, `\`):
			return c, admin.Errorf(admin.Invalid, `%s cannot be set: there are \Seen, \Answered, \Flagged, \Deleted, \Draft, and keywords`, w)
		default:
			keywords = append(keywords, w)
		}
	}
	if len(words) == 0 && op != mailstore.ReplaceFlags {
		return c, admin.Errorf(admin.Invalid, "say which flags")
	}
	var err error
	if c.Keywords, err = mailstore.Keywords(keywords...); err != nil {
		return c, admin.Errorf(admin.Invalid, "keywords %s: %v", strings.Join(keywords, " "), err)
	}
	return c, nil
}
