package msa

import (
	"context"

	"github.com/postrider/postrider/internal/decide/accept"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/repair"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// ErrFrom refuses a From field that is not the account's.
var ErrFrom = status.Perm(550, 7, 1, "The From field has an address that does not belong to the account you logged in with")

// complete checks whose the message is, and completes its header (RFC 6409 §8): what filters see and sign is whole.
func (s *session) complete(ctx context.Context, m *gate.Message) (obs.Reason, error) {
	if err := m.Complete(); err != nil {
		return obs.ReasonSize, err
	}
	if s.ownership() {
		if err := s.ownsFrom(ctx, m.Header); err != nil {
			return obs.ReasonSender, err
		}
	}
	from := s.tx.Envelope.From
	if err := m.Apply(repair.Complete(m.Header, repair.Message{ID: s.tx.ID, Now: s.agent.Now(), Hostname: s.agent.Settings.Hostname,
		From: header.Mailbox{Local: from.Local, Domain: from.Domain}})); err != nil {
		return obs.ReasonContent, err
	}
	if err := accept.Rewrite(ctx, s.agent.Settings.Router, m); err != nil {
		return obs.ReasonLocal, err
	}
	return "", nil
}

// ErrFromSyntax refuses a From field whose owner cannot be told.
var ErrFromSyntax = status.Perm(550, 6, 0, "The From field has something that is not a whole address (user@domain)")

// maxFrom bounds the addresses of From that are looked at.
const maxFrom = 50

// ownsFrom checks the addresses of the From field against the account.
func (s *session) ownsFrom(ctx context.Context, h *header.Header) error {
	for f := range h.All("From") {
		list, more := header.ParseList(h.Value(f), maxFrom)
		if more {
			return ErrFrom
		}
		for _, m := range list {
			if m.Kind != header.Individual {
				continue // the name of a group (RFC 6854)
			}
			a, err := m.Address()
			if err != nil {
				return ErrFromSyntax // whose it is cannot be told, and clients would show it all the same
			}
			owns, err := s.agent.Senders.OwnsAddress(ctx, s.peer.Identity.Account, a)
			if err != nil {
				return err
			}
			if !owns {
				return ErrFrom
			}
		}
	}
	return nil
}
