// Package repair says what a submitted message lacks and how it is completed (RFC 6409 §8). It completes and never
// rewrites, with one exception for programs of this host, whose addresses often have no domain: Qualify.
//
// It does no I/O; its results are edits (header.Edit) that leave the bytes of the message where they are.
package repair

import (
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// Message is what is known of the message to complete.
type Message struct {
	ID       queueid.ID
	Now      time.Time
	Hostname string         // right side of a Message-ID that is missing
	From     header.Mailbox // for a From field that is missing; zero: none is made
}

// Complete says what the header lacks: the fields to put in front; and that Bcc and Resent-Bcc are left out (RFC 5322
// §3.6.3, §3.6.6).
func Complete(h *header.Header, m Message) header.Edit {
	e := header.Edit{Remove: []string{"Bcc", "Resent-Bcc"}}
	if h.Count("From") == 0 && m.From != (header.Mailbox{}) { // RFC 5322 §3.6: From and Date must be there
		e.Prepend = header.AppendMailboxes(e.Prepend, "From", []header.Mailbox{m.From})
	}
	if h.Count("Date") == 0 {
		e.Prepend = header.AppendField(e.Prepend, "Date", header.FormatDate(m.Now))
	}
	if h.Count("Message-ID") == 0 {
		e.Prepend = header.AppendField(e.Prepend, "Message-ID", fmt.Sprintf("<%s@%s>", m.ID, m.Hostname))
	}
	return e
}

// maxList bounds the addresses of one name of field that Qualify reads, maxBytes what it writes in all: what is put in front
// of a message has its bound (recipe.MaxLiteral), and a header that could be better is no reason to refuse it.
const (
	maxList  = 1000
	maxBytes = 32 << 10
)

// Qualify adds to e what gives a domain to addresses that have none, in the fields of originator and recipients (RFC 5322
// §3.6.2, §3.6.3): "To: root" of a cron job would mean nobody elsewhere. Fields without such an address stay as they are,
// as do those that have more addresses than can be looked at or written anew.
func Qualify(e *header.Edit, h *header.Header, domain string) {
	room := maxBytes
	for _, name := range [...]string{"From", "Sender", "Reply-To", "To", "Cc", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc"} {
		if list, bare := qualified(h, name, domain); bare {
			field := header.AppendMailboxes(nil, name, list)
			if room -= len(field); room < 0 {
				return
			}
			e.Remove = append(e.Remove, name)
			e.Prepend = append(e.Prepend, field...)
		}
	}
}

func qualified(h *header.Header, name, domain string) (list []header.Mailbox, bare bool) {
	for f := range h.All(name) {
		more, tooMany := header.ParseList(h.Value(f), maxList-len(list))
		if tooMany {
			return nil, false
		}
		list = append(list, more...)
	}
	for i := range list {
		m := &list[i]
		m.Name = header.DecodeWords(m.Name) // FormatList encodes again
		if m.Kind == header.Individual && m.Domain == "" && m.Local != "" {
			m.Domain, bare = domain, true
			if _, err := m.Address(); err != nil {
				return nil, false // that is no address, and we do not guess
			}
		}
	}
	return list, bare
}
