package imapd

import (
	"errors"
	"strings"

	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/view"
)

// The system flags have the same bits on both sides; this does not compile when they differ.
const (
	_ = uint(mailstore.Seen-mailstore.Flags(view.Seen)) - uint(mailstore.Flags(view.Seen)-mailstore.Seen)
	_ = uint(mailstore.Draft-mailstore.Flags(view.Draft)) - uint(mailstore.Flags(view.Draft)-mailstore.Draft)
)

func message(e mailstore.Entry) view.Message {
	return view.Message{UID: e.UID, Flags: view.Flags{System: view.System(e.Flags), Keywords: e.Keywords}, ModSeq: uint64(e.ModSeq)}
}

// ranges packs ascending UIDs into ranges.
func ranges(uids []uint32) []mailstore.Range {
	var out []mailstore.Range
	for _, uid := range uids {
		if n := len(out); n > 0 && out[n-1].Last+1 == uid {
			out[n-1].Last = uid
			continue
		}
		out = append(out, mailstore.Range{First: uid, Last: uid})
	}
	return out
}

// refusal turns the mailstore's errors about mailboxes into the engine's, where the enhanced status code does not lead to
// the right response code.
func refusal(err error) error {
	switch {
	case errors.Is(err, mailstore.ErrNoMailbox):
		return imap.ErrNonexistent
	case errors.Is(err, mailstore.ErrExists):
		return imap.ErrExists
	case errors.Is(err, mailstore.ErrChildren):
		return imap.Coded("HASCHILDREN", err) // RFC 9051 §7.1
	case errors.Is(err, mailstore.ErrInbox), errors.Is(err, mailstore.ErrBelow):
		return imap.Coded("CANNOT", err)
	case errors.Is(err, mailstore.ErrRole):
		return imap.Coded("USEATTR", err) // RFC 6154 §3
	case errors.Is(err, mailstore.ErrGone):
		return imap.Coded("EXPUNGEISSUED", err) // RFC 5530 §3
	case errors.Is(err, mailstore.ErrUIDs), errors.Is(err, mailstore.ErrLarge): // RFC 5530 §3
		return imap.Coded("LIMIT", err)
	}
	return err
}

// keywords checks what a client wants to set.
func keywords(f view.Flags) (string, error) {
	if f.Keywords == "" {
		return "", nil
	}
	return mailstore.Keywords(strings.Fields(f.Keywords)...)
}
