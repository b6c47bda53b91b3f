package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// operator is who changes are by that an operator makes.
const operator = "admin"

// search is one use of IMAP's search engine over the mailboxes of an account.
type search struct {
	*api
	engine  *imap.Server
	account imap.Account
	id      int64
	close   func()
}

// newSearch begins one: with the views that mail readers have open, where a server runs. The criteria are checked first.
func (a *api) newSearch(ctx context.Context, account, criteria string) (*search, error) {
	acc, err := a.find(ctx, account)
	if err != nil {
		return nil, err
	}
	s := &search{api: a, id: acc.ID, close: func() {}}
	if a.services != nil {
		s.engine = a.services.imap
	} else {
		s.engine = imap.New(a.imapAgent(), a.log.Logger, imap.Config{})
		s.close = func() { _ = s.engine.Shutdown(context.WithoutCancel(ctx)) } // it has no connections to wait for
	}
	if err := s.engine.CheckCriteria(criteria); err != nil {
		s.close()
		return nil, criteriaError(err, criteria, s.engine.SearchKeys())
	}
	if s.account, err = a.imapAgent().Account(ctx, sasl.Identity{Account: acc.ID, Name: operator}); err != nil {
		s.close()
		return nil, apiError(err)
	}
	end := s.close
	s.close = func() { s.account.Close(); end() }
	return s, nil
}

// criteriaError puts what is wrong with criteria into the operator's words, with the place and the nearest word.
func criteriaError(err error, criteria string, keys []string) error {
	var wrong *imap.CriteriaError
	if !errors.As(err, &wrong) {
		return apiError(err)
	}
	if strings.TrimSpace(criteria) == "" {
		return admin.Errorf(admin.Invalid, "no criteria: say which messages, such as UNSEEN or FROM bob, or ALL")
	}
	text := wrong.Text
	if wrong.Word != "" {
		text = fmt.Sprintf("%q is no search key", strings.ToLower(wrong.Word))
		if near := config.Nearest(strings.ToLower(wrong.Word), keys); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
	}
	return admin.Errorf(admin.Invalid, "criteria %q, at character %d: %s", criteria, wrong.At+1, text)
}

// open opens a mailbox for searching.
func (s *search) open(ctx context.Context, box mailstore.Mailbox) (imap.Mailbox, error) {
	m, err := s.account.Select(ctx, imap.Name(box.Name))
	return m, apiError(err)
}

func (a *api) SearchMail(ctx context.Context, q admin.MailQuery, each func(admin.Found) error) error {
	s, err := a.newSearch(ctx, q.Account, q.Criteria)
	if err != nil {
		return err
	}
	defer s.close()
	var boxes []mailstore.Mailbox
	if q.Mailbox == "" {
		boxes, err = a.store.Mailboxes(ctx, s.id)
	} else {
		boxes = make([]mailstore.Mailbox, 1)
		_, boxes[0], err = a.mailbox(ctx, q.Account, q.Mailbox)
	}
	if err != nil {
		return apiError(err)
	}
	for _, box := range boxes {
		if err := s.run(ctx, box, q.Criteria, each); err != nil {
			return err
		}
	}
	return nil
}

// run searches one mailbox.
func (s *search) run(ctx context.Context, box mailstore.Mailbox, criteria string, each func(admin.Found) error) error {
	m, err := s.open(ctx, box)
	if err != nil {
		return err
	}
	defer m.Close()
	uids, err := s.engine.Search(ctx, m, criteria)
	if err != nil {
		return apiError(err)
	}
	for batch := range slices.Chunk(uids, imap.MaxBatch) {
		entries, err := s.store.Entries(ctx, s.id, box.ID, ranges(batch))
		if err != nil {
			return apiError(err)
		}
		list := make([]admin.Found, len(entries))
		for i, e := range entries {
			list[i] = found(box, e, nil)
		}
		if err := m.Messages(ctx, batch, imap.WantEnvelope, func(msg *imap.Message) error {
			i, ok := slices.BinarySearchFunc(entries, msg.UID, func(e mailstore.Entry, uid uint32) int { return cmp.Compare(e.UID, uid) })
			if ok && msg.MIME != nil {
				list[i] = found(box, entries[i], &msg.MIME.Envelope)
			}
			return nil
		}); err != nil {
			return apiError(err)
		}
		for _, f := range list {
			if err := each(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// found describes a message; env is nil of one that cannot be read.
func found(box mailstore.Mailbox, e mailstore.Entry, env *mime.Envelope) admin.Found {
	f := admin.Found{Mailbox: box.Name.Join(nameSeparator), Saved: time.Unix(e.Saved, 0),
		Message: admin.Message{UID: e.UID, Received: time.Unix(e.InternalDate, 0), Size: e.Size, Flags: flagsOf(e)}}
	if env == nil {
		f.Subject = "(unreadable)"
		return f
	}
	f.From, f.To, f.Cc, f.Subject, f.MessageID = shown(env.From), shown(env.To), shown(env.Cc), env.Title(), env.MessageID
	f.Date, _ = env.Time()
	return f
}

// shown writes addresses as people read them.
func shown(list []header.Mailbox) string {
	var words []string
	for _, m := range list {
		if m.Kind != header.Individual {
			continue
		}
		one := m.Local + "@" + m.Domain
		if m.Name != "" {
			one = header.DecodeWords(m.Name) + " <" + one + ">"
		}
		words = append(words, one)
	}
	return strings.Join(words, ", ")
}

// ranges packs ascending UIDs.
func ranges(uids []uint32) (out []mailstore.Range) {
	for _, uid := range uids {
		if n := len(out); n > 0 && out[n-1].Last+1 == uid {
			out[n-1].Last = uid
		} else {
			out = append(out, mailstore.Range{First: uid, Last: uid})
		}
	}
	return out
}
