package access

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// Verb is what an access table, or a policy server, wants done: access(5).
type Verb string

// The verbs.
const (
	OK            Verb = "OK"
	Dunno         Verb = "DUNNO"
	Reject        Verb = "REJECT"
	Defer         Verb = "DEFER"
	Reply         Verb = "REPLY" // a code of 4xx or 5xx, and a text
	DeferIfPermit Verb = "DEFER_IF_PERMIT"
	DeferIfReject Verb = "DEFER_IF_REJECT"
	Hold          Verb = "HOLD"
	Discard       Verb = "DISCARD"
	Filter        Verb = "FILTER"
	Redirect      Verb = "REDIRECT"
	BCC           Verb = "BCC"
	Prepend       Verb = "PREPEND"
	Warn          Verb = "WARN"
	Info          Verb = "INFO"
	Restrictions  Verb = "" // Text is a list of restrictions
)

// Action is the value of an access table, read.
type Action struct {
	Verb     Verb
	Code     int             // Reply
	Enhanced status.Enhanced // of REJECT, DEFER, REPLY, DEFER_IF_*; zero: none was given
	Text     string          // for the client, the log, or what the verb wants
	Address  address.Address // REDIRECT, BCC
}

// maxText bounds a text of a table or server that becomes a reply.
const maxText = 400

// ParseAction reads a value in the syntax of access(5).
func ParseAction(value string) (Action, error) {
	value = strings.Trim(value, " \t\r\n")
	if value == "" {
		return Action{}, errors.New("the action is empty; DUNNO is one that does nothing")
	}
	word, text := value, ""
	if i := strings.IndexAny(value, " \t"); i >= 0 {
		word, text = value[:i], strings.Trim(value[i:], " \t")
	}
	if allDigits(word) && len(word) == 3 && text != "" && (word[0] == '4' || word[0] == '5') {
		a := Action{Verb: Reply, Code: int(word[0]-'0')*100 + int(word[1]-'0')*10 + int(word[2]-'0')}
		a.text(text, status.Class(word[0]-'0'))
		return a, nil
	}
	a := Action{Verb: Verb(strings.ToUpper(word))}
	switch a.Verb {
	case OK:
	case Reject:
		a.text(text, status.Permanent)
	case Defer, DeferIfPermit, DeferIfReject:
		a.text(text, status.Temporary)
	case Dunno:
	case Hold, Discard, Warn, Info:
		a.Text = printable(text)
	case Filter:
		if a.Text = text; !isFilter(text) {
			return Action{}, fmt.Errorf("%.100q: expected is FILTER transport:destination", value)
		}
	case Redirect, BCC:
		var err error
		if a.Address, err = address.Parse(strings.Trim(text, "<>"), true); err != nil {
			return Action{}, fmt.Errorf("%.100q: expected is %s user@domain", value, a.Verb)
		}
	case Prepend:
		if a.Text = text; !isField(text) {
			return Action{}, fmt.Errorf("%.100q: expected is PREPEND Name: text of one line", value)
		}
	default:
		if allDigits(value) { // what writes addresses of clients that have logged in by POP3 writes a time
			return Action{Verb: OK}, nil
		}
		return Action{Verb: Restrictions, Text: value}, nil
	}
	return a, nil
}

// text takes a text that may begin with an enhanced code; one of another class than the reply's is brought to that.
func (a *Action) text(s string, class status.Class) {
	if e, rest, ok := status.ParseEnhanced(s); ok {
		e.Class = class
		a.Enhanced, s = e, rest
	}
	a.Text = printable(strings.TrimSpace(s))
}

// isFilter tells "transport:destination"; the destination may be empty.
func isFilter(s string) bool {
	transport, _, ok := strings.Cut(s, ":")
	return ok && transport != "" && !strings.ContainsAny(s, " \t\r\n\x00") && len(s) <= maxText && printable(s) == s
}

// isField tells a header field in one line: RFC 5322 §2.2, §2.1.1.
func isField(s string) bool {
	name, value, ok := strings.Cut(s, ":")
	name = strings.TrimRight(name, " \t")
	if !ok || name == "" || len(s) > 996 || strings.TrimSpace(value) == "" {
		return false
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f {
			return false
		}
	}
	return strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// printable makes a text fit for one line of a reply.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufffd' {
			return '?'
		}
		return r
	}, s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
