package msa

import (
	"bytes"
	"context"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/intake"
)

// ErrFrom refuses a From field that is not the account's.
var ErrFrom = status.Perm(550, 7, 1, "The From field has an address that does not belong to the account you logged in with")

// bodyOnly tells a message that begins with text instead of a header: its first line is no field.
func bodyOnly(h *header.Header) bool {
	return len(h.Fields) > 0 && h.Fields[0].NameEnd == h.Fields[0].Start
}

// withHeader puts the completed header and an empty line in front of a message that has none, and describes the result.
func withHeader(m *intake.Message, fields []byte) recipe.Recipe {
	block := append(fields, "\r\n"...)
	index := mime.Parse(block)
	index.Root.End += m.Size()
	index.Root.Lines = m.Index.Root.Lines + int64(bytes.Count(m.Head(), []byte("\n")))
	index.Preview, index.Flags = m.Index.Preview, index.Flags|m.Index.Flags
	m.Index = index
	return recipe.Whole(m.Self()).Prepend(block)
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
