package mta

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/postrider/postrider/internal/decide/bounce"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// failure is what ended the use of a host, or kept us from one. The class of its status decides between Deferred and
// Failed.
type failure struct {
	status    status.Enhanced
	text      string         // for flow.Outcome.Reply
	relay     string         // empty: no host was reached
	remote    string         // the host whose words text is; empty: they are ours
	cause     error          // for the log
	handshake bool           // TLS could not be set up: the clear may be tried
	end       bool           // the message had gone out entirely: its fate is open
	required  bool           // the sender demands what the host does not give (REQUIRETLS): nobody here can mend it
	phase     string         // where it happened: "dns", "connect", or smtp.Phase's words
	used      netip.AddrPort // the address that was connected to
	code      int            // of the host's reply
	words     string         // of the host's reply
	local     bool           // it is our own trouble
	family    bool           // namely that we have no address of the host's family
}

// ours is a failure in our own words.
func ours(e *status.Error, cause error) *failure {
	return &failure{status: e.Enhanced, text: e.Public, cause: cause}
}

// at says that a host had been reached.
func (f *failure) at(h hop) *failure {
	f.relay = h.String()
	return f
}

// in says where it happened, unless that is known.
func (f *failure) in(phase string) *failure {
	if f.phase == "" {
		f.phase = phase
	}
	return f
}

// reached says which address a connection stood to.
func (f *failure) reached(h hop) *failure {
	f.used = h.addr
	return f
}

// temporary makes the failure one that another attempt may mend.
func (f *failure) temporary() *failure {
	f.status.Class = status.Temporary
	return f
}

// refused is a refusal by a host, in its words; so is a positive reply in the wrong place, but a temporary one.
func refused(h hop, r smtp.Reply) *failure {
	f := &failure{status: enhanced(r), text: r.String(), relay: h.String(), remote: h.name, code: r.Code, words: r.Text()}
	if f.status.Class != status.Permanent {
		f.status.Class = status.Temporary
	}
	return f
}

// enhanced is the status of a reply; without one of its own (RFC 3463) only the class is known.
func enhanced(r smtp.Reply) status.Enhanced {
	if !r.Enhanced.IsZero() {
		return r.Enhanced
	}
	return status.Enhanced{Class: status.Class(r.Code / 100)}
}

// broken is the failure of a step of the protocol.
func broken(h hop, err error) *failure {
	var ce *smtp.ClientError
	if !errors.As(err, &ce) {
		return ours(status.Temp(451, 3, 0, "delivery to "+h.String()+" failed"), err).at(h)
	}
	if ce.Reply.Code != 0 {
		return refused(h, ce.Reply).in(string(ce.Phase))
	}
	f := ours(status.Temp(451, 4, 2, "the connection to "+h.String()+" failed while "+doing(ce.Phase)+": "+reason(ce.Err)), err).at(h).in(string(ce.Phase))
	if ce.Phase == smtp.PhaseTLS {
		f.status, f.handshake = status.Enhanced{Class: status.Temporary, Subject: 7, Detail: 5}, true
	}
	if ce.Phase == smtp.PhaseEnd {
		f.end = true
		f.text += "; the message may have been taken all the same, and may arrive twice"
	}
	return f
}

// doing is what a phase does, for people.
func doing(p smtp.Phase) string {
	switch p {
	case smtp.PhaseGreeting:
		return "waiting for the greeting"
	case smtp.PhaseHello:
		return "greeting"
	case smtp.PhaseTLS:
		return "setting up TLS"
	case smtp.PhaseAuth:
		return "authenticating"
	case smtp.PhaseMail:
		return "giving the sender"
	case smtp.PhaseRcpt:
		return "giving the recipients"
	case smtp.PhaseData:
		return "sending the message"
	}
	return "waiting for the reply to the message"
}

// reason is the cause of a broken connection without addresses and functions, which the sender need not read.
func reason(err error) string {
	var errno syscall.Errno
	var alert tls.AlertError
	var netErr net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "timed out"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed):
		return "closed by the other side"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &alert):
		return alert.Error()
	}
	return err.Error()
}

// outcome makes the outcome of a recipient; the caller adds times.
func (f *failure) outcome() flow.Outcome {
	o := flow.Outcome{Status: f.status, Relay: f.relay, RemoteMTA: f.remote, Reply: f.text}
	if o.Relay == "" {
		o.Relay = "none"
	}
	if f.status.Class == status.Permanent {
		o.Result = flow.Failed
	}
	if o.Class, o.Signal = f.classify(); o.Class == flow.ClassNone { // a positive reply in the wrong place
		o.Class, o.Signal = flow.ClassProtocol, flow.Slower
	}
	return o
}

// classify tells why it failed, and what that says of the site.
func (f *failure) classify() (flow.Class, flow.Signal) {
	if f.local {
		return flow.ClassLocal, flow.Silent
	}
	if f.end { // the connection broke; the site had done all but the last step
		return flow.ClassNetwork, flow.Slower
	}
	return bounce.Classify(bounce.Report{Phase: phaseOf(f.phase), Code: f.code, Enhanced: f.status, Text: f.words})
}

// ownTrouble says that no host has to do with the failure.
func (f *failure) ownTrouble() *failure {
	f.local = true
	return f
}

func phaseOf(s string) bounce.Phase {
	switch smtp.Phase(s) {
	case "dns":
		return bounce.DNS
	case smtp.PhaseGreeting:
		return bounce.Greeting
	case smtp.PhaseHello:
		return bounce.Hello
	case smtp.PhaseTLS:
		return bounce.TLS
	case smtp.PhaseAuth:
		return bounce.Auth
	case smtp.PhaseMail:
		return bounce.Mail
	case smtp.PhaseRcpt:
		return bounce.Rcpt
	case smtp.PhaseData:
		return bounce.Data
	case smtp.PhaseEnd:
		return bounce.End
	}
	return bounce.Connect
}
