package accept

import (
	"context"
	"strings"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/header"
)

// The fields whose addresses canonical and masquerading rules change: those of who wrote, and those of who gets it (RFC 5322
// §3.6.2, §3.6.3, §3.6.6, and the unofficial ones that cleanup(8) knows).
const (
	senderFields = " from sender reply-to resent-from resent-sender resent-reply-to errors-to return-receipt-to disposition-notification-to" +
		" mail-followup-to mail-reply-to "
	recipientFields = " to cc resent-to resent-cc apparently-to "
)

// maxRewritten bounds the addresses of a header that are looked up. Fields beyond stay as they are.
const maxRewritten = 1000

// Rewrite maps the addresses in the header of mail that our own users and programs send (Postfix:
// local_header_rewrite_clients), as canonical_maps,
// masquerade_domains and their classes say. Fields in which nothing changes keep their bytes. The error is a temporary one.
func Rewrite(ctx context.Context, r *route.Router, m *gate.Message) error {
	if !r.RewritesHeaders() || m.Complete() != nil {
		return nil
	}
	room := maxRewritten
	var edits []gate.Edit
	for i, f := range m.Header.Fields {
		name := string(m.Header.Name(f))
		key := " " + strings.ToLower(name) + " "
		sender := strings.Contains(senderFields, key)
		if !sender && !strings.Contains(recipientFields, key) {
			continue
		}
		list, more := header.ParseList(m.Header.Value(f), room)
		if more {
			continue
		}
		room -= len(list)
		changed, err := rewrite(ctx, r, list, sender)
		if err != nil {
			return err
		}
		if changed {
			field := header.AppendMailboxes(nil, name, list)
			edits = append(edits, gate.Edit{Kind: gate.Replace, Index: i, Name: name, Value: strings.TrimSuffix(string(field[len(name)+1:]), "\r\n")})
		}
	}
	return m.Edit(edits...)
}

// rewrite maps the addresses of a list; what is no whole address stays.
func rewrite(ctx context.Context, r *route.Router, list []header.Mailbox, sender bool) (changed bool, err error) {
	for i := range list {
		m := &list[i]
		m.Name = header.DecodeWords(m.Name) // FormatList encodes again
		if m.Kind != header.Individual || m.Domain == "" {
			continue
		}
		was, err := m.Address()
		if err != nil {
			continue
		}
		to, err := r.Header(ctx, was, sender)
		if err != nil {
			return false, err
		}
		if to != was {
			m.Local, m.Domain, changed = to.Local, to.Domain, true
		}
	}
	return changed, nil
}
