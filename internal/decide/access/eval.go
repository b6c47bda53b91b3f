package access

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// verdict is what came of a restriction.
type verdict uint8

const (
	passes  verdict = iota // no opinion: the next one is asked
	permits                // the list ends here
	refuses
)

type outcome struct {
	verdict verdict
	err     *status.Error // of refuses
	reason  obs.Reason
	anybody bool // of permits: whoever sends to this recipient may; nothing is said of who that is
}

var (
	pass          = outcome{}
	permit        = outcome{verdict: permits}
	permitAnybody = outcome{verdict: permits, anybody: true}
)

// eval is one evaluation: the lists of one stage, for one recipient if it is RCPT.
type eval struct {
	policy  *Policy
	session *session
	ctx     context.Context
	stage   gate.Stage
	tx      *gate.Transaction   // nil before MAIL
	rcpt    *envelope.Recipient // nil but at RCPT
	size    int64               // at the end of data

	kind     Kind
	depth    int
	warn     bool          // warn_if_reject: refusals are logged only
	ifPermit *status.Error // defer_if_permit: what is said in the place of a permission; the first one stands
	ifReject *status.Error // defer_if_reject: what is said in the place of a refusal for good
	keys     keys
	within   *subjectOf // whose table has answered with the restrictions that are being judged
}

// judge goes through one list. What defer_if_reject remembers is the list's, and the recipient list has it from the relay
// list.
func (e *eval) judge(k Kind) outcome {
	if e.kind = k; k != Recipient {
		e.ifReject = nil
	}
	return e.run(e.policy.lists[k])
}

func (e *eval) run(rules []rule) outcome {
	outer := e.warn
	defer func() { e.warn = outer }()
	for i := range rules {
		if e.discarded() {
			return pass // nobody is to notice, and nothing goes anywhere
		}
		r := &rules[i]
		e.warn = outer || r.warn
		o := r.run(e, r)
		e.tell(r, o)
		if o.verdict != passes {
			return o
		}
	}
	return pass
}

// discarded tells that a rule has said DISCARD: every one behind it is passed over, those of later lists too.
func (e *eval) discarded() bool { return e.tx != nil && e.tx.Changes.Discard != "" }

func (e *eval) tell(r *rule, o outcome) {
	conn := e.session.conn
	if conn.Note == nil {
		return
	}
	result := "dunno"
	switch o.verdict {
	case permits:
		result = "permit"
	case refuses:
		result = fmt.Sprintf("reject %d %s %s", o.err.Code, o.err.Enhanced, o.err.Public)
	}
	conn.Tell(e.stage, e.kind.Setting()+": "+r.text, result)
}

// refuse is a refusal, unless it is only tried out. One for good becomes one for now where an earlier restriction could not
// find out whether to permit.
func (e *eval) refuse(reason obs.Reason, err *status.Error) outcome {
	if e.warn {
		e.policy.opt.Log.Info("access: reject_warning", "session", e.session.conn.Session, "list", e.kind.Setting(),
			"reply", fmt.Sprintf("%d %s %s", err.Code, err.Enhanced, err.Public))
		return pass
	}
	if e.ifReject != nil && err.Class == status.Permanent {
		err = e.ifReject
	}
	return outcome{verdict: refuses, err: err, reason: reason}
}

// deferIfPermit remembers a refusal for now, for the end.
func (e *eval) deferIfPermit(err *status.Error) outcome {
	if e.ifPermit == nil && !e.warn {
		e.ifPermit = err
	}
	return pass
}

func (e *eval) deferIfReject(err *status.Error) outcome {
	if e.ifReject == nil && !e.warn {
		e.ifReject = err
	}
	return pass
}

// about is what the present list judges; in the answer of a table, what the table was asked for.
func (e *eval) about() subjectOf {
	if e.within != nil {
		return *e.within
	}
	class := e.kind.class()
	switch e.kind {
	case Client:
		return subjectOf{text: e.session.client(), class: class, reason: obs.ReasonClient}
	case Helo:
		return subjectOf{text: e.session.conn.Client.Helo, class: class, reason: obs.ReasonHelo}
	case Sender:
		return subjectOf{addr: e.sender(), class: class, reason: obs.ReasonSender}
	case Relay, Recipient:
		if e.rcpt != nil {
			return subjectOf{addr: e.rcpt.To, class: class, reason: obs.ReasonPolicy}
		}
	case Data:
		return subjectOf{text: "DATA", class: class, reason: obs.ReasonPolicy}
	}
	return subjectOf{text: "END-OF-MESSAGE", class: class, reason: obs.ReasonPolicy}
}

func (e *eval) senderPath() string { return e.sender().Path() }

func (e *eval) sender() address.Address {
	if e.tx == nil {
		return address.Address{}
	}
	return e.tx.Envelope.From
}

// refuseHere refuses what the present list judges.
func (e *eval) refuseHere(code int, subject, detail uint16, text string) outcome {
	about := e.about()
	return e.refuse(about.reason, say(code, subject, detail, about.name()+": "+about.class+" rejected: "+text))
}

// sender and recipient refuse an address, whatever list asks.
func (e *eval) refuseSender(code int, subject, detail uint16, text string) outcome {
	return e.refuse(obs.ReasonSender, say(code, subject, detail, e.senderPath()+": Sender address rejected: "+text))
}

func (e *eval) refuseRecipient(code int, subject, detail uint16, text string) outcome {
	return e.refuse(obs.ReasonRecipient, say(code, subject, detail, e.rcpt.To.Path()+": Recipient address rejected: "+text))
}

// lookupFailed is a table, or the directory, that could not be asked: access(5), "Temporary lookup failure".
func (e *eval) lookupFailed(r *rule, name string, err error) outcome {
	return e.refuse(obs.ReasonLocal, status.Temp(451, 3, 0, printable(name+": Temporary lookup failure")).With(r.text, err))
}

// runPermit permits anybody, but in the answer of a table those whom the table has.
func runPermit(e *eval, _ *rule) outcome {
	if e.within != nil {
		return permit
	}
	return permitAnybody
}

func runNothing(*eval, *rule) outcome { return pass }
func runClass(e *eval, r *rule) outcome {
	if e.depth++; e.depth > maxNesting {
		return e.misconfigured(r, fmt.Errorf("restrictions are nested deeper than %d", maxNesting))
	}
	defer func() { e.depth-- }()
	return e.run(r.rules)
}

func runReject(e *eval, _ *rule) outcome {
	return e.refuseHere(e.policy.opt.Config.Codes.RejectCode, 7, 1, "Access denied")
}

func runDefer(e *eval, _ *rule) outcome {
	return e.refuseHere(e.policy.opt.Config.Codes.DeferCode, 3, 2, "Try again later")
}

func runDeferIfPermit(e *eval, _ *rule) outcome {
	about := e.about()
	return e.deferIfPermit(say(450, 7, 0, about.name()+": "+about.class+" rejected: defer_if_permit requested"))
}

func runDeferIfReject(e *eval, _ *rule) outcome {
	about := e.about()
	return e.deferIfReject(say(450, 7, 0, about.name()+": "+about.class+" rejected: defer_if_reject requested"))
}

func runSleep(e *eval, r *rule) outcome {
	if s := e.policy.opt.Sleep; s != nil && !e.session.conn.Dry {
		s(e.ctx, r.pause)
	}
	return pass
}
