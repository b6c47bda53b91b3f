// Package bounce tells from what a host answered why a recipient was deferred or failed (flow.Class), and what that says
// of the site as a whole (flow.Signal). The class decides when the next attempt is made, and what reports and suppression
// lists count; the signal is what the scheduler learns.
//
// Three things are asked, in this order: the words, because the large providers put their reason there and use a few
// codes for everything; the enhanced code (RFC 3463, and the registry that RFC 5248 began); the reply code and the phase
// (RFC 5321 §4.2). What none of them knows is ClassOther and says nothing of the site.
//
// It never decides between Deferred and Failed: that is the reply's first digit, the sending agent's matter. It has no state
// and does no I/O. Words are the remote's, and hostile: they are cut at a bound, and no word makes more of a reply than a
// class; in particular a text inside of <> or with an @ is somebody's address and is not looked at.
//
//	bounce.go  Classify
//	words.go   what providers and servers say
//	codes.go   what codes say
package bounce

import (
	"strings"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// Phase is how far an attempt had come.
type Phase uint8

// The phases, in their order.
const (
	DNS      Phase = iota // the exchangers and their addresses are asked for
	Connect               // the connection is made
	Greeting              // the first reply
	Hello                 // EHLO or HELO
	TLS                   // STARTTLS and the handshake
	Auth                  // AUTH
	Mail                  // MAIL
	Rcpt                  // RCPT
	Data                  // DATA or BDAT, and the message itself
	End                   // the reply to the message
)

// Report is what one host, or its absence, had to say.
type Report struct {
	Phase    Phase
	Code     int             // the reply code; 0: there was no reply
	Enhanced status.Enhanced // of the reply; without a reply our own
	Text     string          // the words of the reply; without a reply they are not looked at
}

// Classify gives class and signal of a report. A positive reply is ClassNone and Well.
func Classify(r Report) (flow.Class, flow.Signal) {
	switch {
	case r.Code/100 == 2 || r.Code/100 == 3:
		return flow.ClassNone, flow.Well
	case r.Code == 0:
		return silence(r)
	}
	class, personal := byWords(r)
	if class == flow.ClassNone {
		class, personal = byEnhanced(r.Enhanced)
	}
	if class == flow.ClassNone {
		class = byCode(r.Code, r.Phase)
	}
	if class == flow.ClassOther && r.Code/100 == 4 && later(r.Text) {
		class = onlyLater(r)
	}
	return class, signal(r, class, personal)
}

// onlyLater is the class of a host that says no more than to come again. To a recipient that is nearly always greylisting;
// 421, or before there is a message, that there are too many of us.
func onlyLater(r Report) flow.Class {
	switch {
	case r.Code == 421 || r.Phase <= Hello:
		return flow.ClassThrottled
	case r.Phase == Rcpt:
		return flow.ClassGreylisted
	}
	return flow.ClassOther
}

// silence is no reply: the connection or what comes before it failed.
func silence(r Report) (flow.Class, flow.Signal) {
	switch r.Phase {
	case DNS:
		if class, _ := byEnhanced(r.Enhanced); class != flow.ClassNone {
			return class, flow.Silent
		}
		return flow.ClassDNS, flow.Silent // whose site it is, nobody knows
	case Connect, Greeting, Hello:
		return flow.ClassNetwork, flow.Unreachable
	case TLS:
		return flow.ClassTLS, flow.Slower
	case Auth:
		return flow.ClassAuth, flow.Slower
	}
	if class, _ := byEnhanced(r.Enhanced); class != flow.ClassNone && class != flow.ClassNetwork { // our own word: an extension is missing
		return class, flow.Silent
	}
	return flow.ClassNetwork, flow.Slower
}

// signal is what a refusal says of the site. personal: it is about one recipient, whatever its class.
func signal(r Report, class flow.Class, personal bool) flow.Signal {
	switch {
	case class == flow.ClassBlocked:
		return flow.Refuses
	case r.Code == 421 && !personal: // RFC 5321 §3.8: the whole service, or this connection
		return flow.Slower
	case class == flow.ClassThrottled && !personal:
		return flow.Slower
	case r.Phase == Auth: // who goes on with a wrong password is locked out
		return flow.Slower
	case r.Phase <= TLS: // nothing was said about a message yet
		return flow.Slower
	}
	return flow.Silent
}

// maxText bounds the words that are looked at.
const maxText = 2000

// plain prepares words for the table: lower case, one blank between them, no addresses, and no quotes of what a mailbox is
// called.
func plain(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	var b strings.Builder
	b.Grow(len(text))
	for _, word := range strings.Fields(strings.ToLower(text)) {
		if strings.ContainsRune(word, '@') || strings.HasPrefix(word, "<") && strings.Contains(word, ">") {
			word = "<>"
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	return b.String()
}
