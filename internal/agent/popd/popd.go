// Package popd is the access agent for POP3 (RFC 1939): it shows an account's INBOX of the mailstore as a maildrop to the
// engine of package wire/pop3.
//
// A maildrop has one session at a time. Mail that arrives and IMAP sessions are not concerned: the session's list is of its
// login, a message that another session removes meanwhile is gone for this one too, and what it removes at QUIT goes the
// way of IMAP's EXPUNGE, so that IMAP sessions hear of it. It never touches another mailbox.
//
// Files: popd.go (the lock, opening) · maildrop.go (messages, QUIT) · uidl.go (unique ids).
package popd

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/pop3"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Agent implements pop3.Backend. Store and Log are required.
type Agent struct {
	Store *mailstore.Store
	Log   *slog.Logger

	mu   sync.Mutex
	held map[int64]struct{} // accounts whose maildrop has a session
}

var _ pop3.Backend = (*Agent)(nil)

// Open begins the session of an account's maildrop.
func (a *Agent) Open(ctx context.Context, id sasl.Identity, add func(uid uint32, size int64)) (pop3.Maildrop, error) {
	if !a.hold(id.Account) {
		return nil, pop3.ErrInUse
	}
	d := &maildrop{agent: a, account: id.Account, by: "pop3 " + id.Name}
	opened := false
	defer func() {
		if !opened { // also when it panics
			d.Close()
		}
	}()
	box, err := a.Store.Mailbox(ctx, id.Account, mailstore.Inbox())
	if err != nil {
		return nil, err
	}
	d.mailbox, d.ids.validity = box.ID, box.UIDValidity
	d.unwatch = a.Store.Watch(id.Account, box.ID, func(c mailstore.Change) {
		if c.Gone {
			d.gone.Store(true)
		}
	})
	var names uniqueIDs
	err = a.Store.List(ctx, id.Account, box.ID, func(l mailstore.Listed) {
		add(l.UID, l.Size)
		if l.UIDL != "" {
			names.imported(&d.ids, l.UID, l.UIDL)
		}
	})
	if err != nil {
		return nil, err
	}
	opened = true
	return d, nil
}

// hold takes the lock of an account's maildrop.
func (a *Agent) hold(account int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, taken := a.held[account]; taken {
		return false
	}
	if a.held == nil {
		a.held = map[int64]struct{}{}
	}
	a.held[account] = struct{}{}
	return true
}

func (a *Agent) release(account int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.held, account)
}

// maildrop implements pop3.Maildrop.
type maildrop struct {
	agent   *Agent
	account int64
	mailbox int64
	by      string      // for tombstones
	ids     uidl        // unique ids
	gone    atomic.Bool // the mailbox is deleted, or its UIDs mean other messages now
	unwatch func()      // nil: not watched yet
	closed  bool
}
