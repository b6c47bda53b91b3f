package access

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// subjectOf is what a reply is about: "<name>: Class rejected: text".
type subjectOf struct {
	text   string // empty: addr
	addr   address.Address
	class  string
	reason obs.Reason
}

func (s subjectOf) name() string {
	if s.text == "" {
		return s.addr.Path()
	}
	return "<" + s.text + ">"
}

// act does what a table or a policy server says of somebody.
func (e *eval) act(r *rule, about subjectOf, value string) outcome {
	a, err := ParseAction(value)
	if err != nil {
		return e.misconfigured(r, err)
	}
	codes := &e.policy.opt.Config.Codes
	switch a.Verb {
	case OK:
		return permit
	case Dunno:
		return pass
	case Reject:
		return e.refuseWith(about, codes.AccessMapRejectCode, a)
	case Defer:
		return e.refuseWith(about, codes.AccessMapDeferCode, a)
	case Reply:
		return e.refuseWith(about, a.Code, a)
	case DeferIfPermit:
		return e.deferIfPermit(e.reply(about, codes.AccessMapDeferCode, a, "Service unavailable"))
	case DeferIfReject:
		return e.deferIfReject(e.reply(about, codes.AccessMapDeferCode, a, "Service unavailable"))
	case Restrictions:
		return e.nested(r, about, a.Text)
	}
	return e.change(r, about, a)
}

// change adds what an action wants done with the message; earlier ones stand.
func (e *eval) change(r *rule, about subjectOf, a Action) outcome {
	why := a.Text
	if why == "" {
		why = fmt.Sprintf("%s %s", r.text, about.name())
	}
	if e.tx == nil || e.warn { // there is no message yet, or the rule is only tried out
		e.log(r, about, a, "not done")
		if a.Verb == Discard && !e.warn && e.tx == nil {
			return permit
		}
		return pass
	}
	c := &e.tx.Changes
	e.log(r, about, a, "")
	switch a.Verb {
	case Hold:
		if c.Hold == "" {
			c.Hold = why
		}
	case Discard:
		c.Discard = why
		return permit
	case Filter:
		c.Filter = a.Text
	case Redirect:
		c.Redirect = a.Address
	case BCC:
		if len(c.BCC) < maxBCC && !e.session.has(a.Address) {
			c.BCC = append(c.BCC, a.Address)
		}
	case Prepend:
		if field := a.Text + "\r\n"; len(c.Prepend)+len(field) <= maxPrepend && e.session.once(field) {
			c.Prepend = append(c.Prepend, field...)
		}
	}
	return pass
}

// Bounds of what one transaction's rules may add.
const (
	maxBCC     = 50
	maxPrepend = 16 << 10
)

// nested judges by a list of restrictions that a table answered with.
func (e *eval) nested(r *rule, about subjectOf, text string) outcome {
	if e.depth++; e.depth > maxNesting {
		return e.misconfigured(r, fmt.Errorf("restrictions are nested deeper than %d", maxNesting))
	}
	outer := e.within
	e.within = &about
	defer func() { e.depth, e.within = e.depth-1, outer }()
	rules, err := e.policy.answer(e.kind, text)
	if err != nil {
		return e.misconfigured(r, err)
	}
	return e.run(rules)
}

// refuseWith refuses as an action says.
func (e *eval) refuseWith(about subjectOf, code int, a Action) outcome {
	return e.refuse(about.reason, e.reply(about, code, a, "Access denied"))
}

// reply is the text of an action about somebody; otherwise stands where the action has none.
func (e *eval) reply(about subjectOf, code int, a Action, otherwise string) *status.Error {
	text := a.Text
	if text == "" {
		text = otherwise
	}
	err := say(code, 7, 1, fmt.Sprintf("%s: %s rejected: %s", about.name(), about.class, text))
	if !a.Enhanced.IsZero() {
		err.Enhanced.Subject, err.Enhanced.Detail = a.Enhanced.Subject, a.Enhanced.Detail
	}
	return err
}

// say makes a reply of a code that a setting gives.
func say(code int, subject, detail uint16, text string) *status.Error {
	if code >= 500 {
		return status.Perm(code, subject, detail, printable(text))
	}
	return status.Temp(code, subject, detail, printable(text))
}

// misconfigured is a rule that cannot be obeyed; nobody is let in or turned away for that.
func (e *eval) misconfigured(r *rule, err error) outcome {
	e.policy.opt.Log.Warn("access: a rule cannot be obeyed", "rule", r.text, "session", e.session.conn.Session, "error", err)
	return e.refuse(obs.ReasonLocal, status.Temp(451, 3, 5, "Server configuration error").With(r.text, err))
}

// log tells the operator of an action that refuses nobody.
func (e *eval) log(r *rule, about subjectOf, a Action, note string) {
	e.session.conn.Tell(e.stage, e.kind.Setting()+": "+r.text, strings.TrimSpace(string(a.Verb)+" "+a.Text+" "+note))
	if e.session.conn.Dry {
		return
	}
	attrs := []any{slog.String("action", string(a.Verb)), slog.String("rule", r.text), slog.String("about", about.name()),
		slog.String("session", e.session.conn.Session)}
	if e.tx != nil {
		attrs = append(attrs, slog.String("queue_id", e.tx.ID.String()), slog.String("from", e.tx.Envelope.From.String()))
	}
	if e.rcpt != nil {
		attrs = append(attrs, slog.String("to", e.rcpt.To.String()))
	}
	if a.Text != "" {
		attrs = append(attrs, slog.String("text", a.Text))
	}
	if note != "" {
		attrs = append(attrs, slog.String("note", note))
	}
	e.policy.opt.Log.Info("access", attrs...)
}
