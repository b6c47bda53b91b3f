// Package imapd is the access agent for IMAP (RFC 9051): it shows the accounts' mailboxes of the mailstore to the engine
// of package wire/imap, and takes APPEND through the one acceptance pipeline.
//
// It holds no state of its own: views of mailboxes are the engine's, changes come from the mailstore's feed in the order
// of their commits.
//
// Files: imapd.go (backend and feed) · account.go (mailboxes) · append.go (APPEND, REPLACE) · mailbox.go (changes) · messages.go
// (what FETCH and SEARCH see) · convert.go (flags, ranges).
package imapd

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Agent implements imap.Backend.
type Agent struct {
	Store  *mailstore.Store
	Intake *intake.Intake
	IDs    *queueid.Source
	Now    func() time.Time
	Log    *slog.Logger

	fetches sync.Pool // *fetch
}

var _ imap.Backend = (*Agent)(nil)

// Account begins a session.
func (a *Agent) Account(ctx context.Context, id sasl.Identity) (imap.Account, error) {
	ns, err := a.Store.Namespace(ctx, id.Account)
	if err != nil {
		return nil, err
	}
	return &account{agent: a, id: id.Account, by: "imap " + id.Name,
		namespaces: imap.Namespaces{Separator: ns.Separator, Personal: ns.Prefix}}, nil
}

// Watch feeds the changes of one mailbox.
func (a *Agent) Watch(id imap.MailboxID, sink func(view.Event)) (stop func(), err error) {
	return a.Store.Watch(id.Account, id.Mailbox, func(c mailstore.Change) {
		ev := view.Event{ModSeq: uint64(c.ModSeq), Expunged: c.Expunged, Gone: c.Gone}
		for _, e := range c.Entries {
			ev.Messages = append(ev.Messages, message(e))
		}
		sink(ev)
	}), nil
}

// Load gives the messages of a mailbox.
func (a *Agent) Load(ctx context.Context, id imap.MailboxID, add func(view.Message)) (uidNext uint32, modseq uint64, err error) {
	m, err := a.Store.SnapshotFlags(ctx, id.Account, id.Mailbox, func(e mailstore.Entry) { add(message(e)) })
	if err == nil && m.UIDValidity != id.UIDValidity {
		err = imap.ErrNonexistent
	}
	return m.UIDNext, uint64(m.ModSeq), refusal(err)
}
