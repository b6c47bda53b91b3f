package obs

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// postfix writes an outcome in the words of Postfix. An acceptance is three lines, of smtpd, cleanup and qmgr, since the
// tools put a message together from them.
func (m *maillog) postfix(e Event) {
	switch e := e.(type) {
	case Connect:
		m.line(smtpd(e.Peer), m.session(e.Peer), "connect from %s", client(e.Peer))
	case Disconnect:
		if e.Reason != "" {
			m.line(smtpd(e.Peer), m.session(e.Peer), "%s from %s", clean(e.Reason), client(e.Peer))
		}
		m.line(smtpd(e.Peer), m.session(e.Peer), "disconnect from %s commands=%d", client(e.Peer), e.Commands)
	case Accepted:
		login := ""
		if e.Account != "" {
			login = fmt.Sprintf(", sasl_method=%s, sasl_username=%s", word(e.Mech), cleanAngle(e.Account))
		}
		id := e.ID.String()
		m.line(smtpd(e.Peer), m.session(e.Peer), "%s: client=%s%s", id, client(e.Peer), login)
		m.line("postfix/cleanup", m.pid, "%s: message-id=<%s>", id, cleanAngle(e.MessageID))
		m.active(id, e.From, e.Size, e.Nrcpt)
	case Submitted:
		id := e.ID.String()
		m.line("postfix/pickup", m.pid, "%s: uid=%d from=<%s>", id, e.UID, angle(e.From))
		m.line("postfix/cleanup", m.pid, "%s: message-id=<%s>", id, cleanAngle(e.MessageID))
		m.active(id, e.From, e.Size, e.Nrcpt)
	case Queued:
		switch e.Kind {
		case "bounce":
			m.line("postfix/bounce", m.pid, "%s: sender non-delivery notification: %s", e.Cause, e.ID)
		case "double-bounce":
			m.line("postfix/bounce", m.pid, "%s: postmaster non-delivery notification: %s", e.Cause, e.ID)
		}
		m.active(e.ID.String(), e.From, e.Size, e.Nrcpt)
	case Delivery:
		m.delivery(e)
	case Removed:
		m.line("postfix/qmgr", m.pid, "%s: removed", e.ID)
	case Rejected:
		m.rejected(e)
	case Screened:
		m.screened(e)
	case AuthFailed:
		m.authFailed(e)
	case Login: // Postfix says who logged in with the message; it has no master users
		if e.Master != "" {
			m.line(smtpd(e.Peer), m.session(e.Peer), "%s: master user <%s> acts as sasl_username=%s", client(e.Peer), cleanAngle(e.Master), word(e.Account))
		}
	case Logout:
	}
}

func (m *maillog) active(id string, from address.Address, size int64, nrcpt int) {
	m.line("postfix/qmgr", m.pid, "%s: from=<%s>, size=%d, nrcpt=%d (queue active)", id, angle(from), size, nrcpt)
}

func (m *maillog) delivery(e Delivery) {
	orig := ""
	if !e.OrigTo.IsZero() && e.OrigTo != e.To {
		orig = fmt.Sprintf(" orig_to=<%s>,", angle(e.OrigTo))
	}
	relay := clean(strings.ReplaceAll(e.Relay, ",", "?"))
	if relay == "" {
		relay = "none"
	}
	outcome, dsn := e.Outcome, e.DSN
	if outcome == Expired { // Postfix's name for it ends what tools call a bounce
		outcome = Bounced
	}
	if dsn.IsZero() {
		dsn = defaultDSN(outcome)
	}
	m.line("postfix/"+transport(e.Transport), m.pid, "%s: to=<%s>,%s relay=%s, delay=%s, delays=%s, dsn=%s, status=%s (%s)",
		e.ID, angle(e.To), orig, relay, seconds(e.Delay), delays(e.Delays), dsn, outcome, oneLine(e.Text))
}

// transport names the Postfix program that does what a transport does.
func transport(name string) string {
	switch name {
	case "smtp", "lmtp", "pipe", "local", "virtual", "error":
		return name
	case "mailbox":
		return "virtual"
	}
	return "local"
}

func defaultDSN(o Outcome) status.Enhanced {
	switch o {
	case Sent:
		return status.Enhanced{Class: status.Success}
	case Deferred:
		return status.Enhanced{Class: status.Temporary}
	}
	return status.Enhanced{Class: status.Permanent}
}

func (m *maillog) rejected(e Rejected) {
	id, code, enhanced, text := "NOQUEUE", 451, status.Enhanced{Class: status.Temporary, Subject: 3}, ""
	if !e.ID.IsZero() {
		id = e.ID.String()
	}
	if e.Error != nil {
		code, enhanced, text = e.Error.Code, e.Error.Enhanced, oneLine(e.Error.Public)
	}
	proto := e.Protocol
	if proto == "" {
		proto = "ESMTP"
	}
	m.line(smtpd(e.Peer), m.session(e.Peer), "%s: reject: %s from %s: %d %s %s; from=<%s> to=<%s> proto=%s helo=<%s>",
		id, word(e.Command), client(e.Peer), code, enhanced, postfixReason(e, text), cleanAngle(e.From), cleanAngle(e.To),
		word(proto), cleanAngle(e.Helo))
}

// postfixReason puts Postfix's words for a refusal before ours; fail2ban's stock filter looks for them.
func postfixReason(e Rejected, text string) string {
	words := ""
	switch e.Reason {
	case ReasonRelay:
		words = fmt.Sprintf("<%s>: Relay access denied", cleanAngle(e.To))
	case ReasonRecipient:
		words = fmt.Sprintf("<%s>: Recipient address rejected: User unknown", cleanAngle(e.To))
	case ReasonSender:
		words = fmt.Sprintf("<%s>: Sender address rejected: not acceptable", cleanAngle(e.From))
	case ReasonHelo:
		words = fmt.Sprintf("<%s>: Helo command rejected: not acceptable", cleanAngle(e.Helo))
	case ReasonClient:
		words = fmt.Sprintf("<%s>: Client host rejected: not acceptable", client(e.Peer))
	default:
		return text
	}
	if text == "" {
		return words
	}
	return words + ": " + text
}

// authFailed writes Postfix's warning for the mechanisms that fail2ban's filter for Postfix knows, and for others
// (SCRAM) the line of Dovecot's submission service, which its filter for Dovecot takes with any mechanism.
func (m *maillog) authFailed(e AuthFailed) {
	switch strings.ToUpper(e.Mech) {
	case "PLAIN", "LOGIN":
		m.line(smtpd(e.Peer), m.session(e.Peer), "warning: %s: SASL %s authentication failed: authentication failure, sasl_username=%s",
			client(e.Peer), strings.ToUpper(e.Mech), cleanAngle(e.Account))
	default:
		m.loginFailed("submission-login", e)
	}
}

// smtpd names the program with the service as Postfix's master.cf does.
func smtpd(p Peer) string {
	switch p.Service {
	case "submission":
		return "postfix/submission/smtpd"
	case "submissions":
		return "postfix/smtps/smtpd"
	}
	return "postfix/smtpd"
}

// client writes "name[address]", "unknown" standing for no name. A name that is not one could forge the address.
func client(p Peer) string {
	name := p.Name
	if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" || name == "" || len(name) > 255 {
		name = "unknown"
	}
	return name + "[" + p.Addr.Addr().Unmap().WithZone("").String() + "]"
}

// angle writes an address for use in <>; the null address is empty.
func angle(a address.Address) string {
	if a.IsZero() {
		return ""
	}
	return cleanAngle(a.String())
}

// oneLine joins the lines of a reply.
func oneLine(s string) string { return clean(strings.ReplaceAll(s, "\n", " ")) }

// delays writes the four parts of a delay as Postfix does: a/b/c/d.
func delays(d [4]time.Duration) string {
	return seconds(d[0]) + "/" + seconds(d[1]) + "/" + seconds(d[2]) + "/" + seconds(d[3])
}

// seconds writes a time in seconds with two digits that count, as in "0.05", "1.2", "340".
func seconds(d time.Duration) string {
	s := d.Seconds()
	switch {
	case s < 0.005:
		return "0"
	case s < 1:
		return strings.TrimRight(strconv.FormatFloat(s, 'f', 2, 64), "0")
	case s < 10:
		return strings.TrimSuffix(strconv.FormatFloat(s, 'f', 1, 64), ".0")
	}
	return strconv.FormatFloat(s, 'f', 0, 64)
}
