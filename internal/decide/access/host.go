package access

import (
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// hostname tells the form of a host's name: RFC 1123 §2.1, with underscores, which exist; and not all digits and dots.
func hostname(s string) bool {
	if len(s) > 253 || s == "" {
		return false
	}
	letters := false
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_', c >= 0x80:
				letters = true
			case '0' <= c && c <= '9':
			default:
				return false
			}
		}
	}
	return letters
}

// fqdn tells a name with a dot, or an address literal.
func fqdn(s string) bool {
	s = strings.TrimSuffix(s, ".")
	return strings.HasPrefix(s, "[") || hostname(s) && strings.Contains(s, ".")
}

func (e *eval) refuseHelo(code int, detail [2]uint16, text string) outcome {
	return e.refuse(obs.ReasonHelo, say(code, detail[0], detail[1], "<"+e.session.conn.Client.Helo+">: Helo command rejected: "+text))
}

// helo is what the client calls itself; a literal's address if it is one.
func (e *eval) helo() (name string, literal, valid bool) {
	name = e.session.conn.Client.Helo
	if strings.HasPrefix(name, "[") {
		_, ok := address.LiteralIP(name)
		return name, true, ok
	}
	return name, false, hostname(strings.TrimSuffix(name, "."))
}

func runInvalidHelo(e *eval, _ *rule) outcome {
	name, literal, valid := e.helo()
	if name == "" || valid {
		return pass
	}
	if _, err := netip.ParseAddr(name); err == nil { // an address without brackets passes, as with Postfix
		return pass
	}
	text := "Invalid name"
	if literal {
		text = "invalid ip address"
	}
	return e.refuseHelo(e.policy.opt.Config.Codes.InvalidHostnameRejectCode, [2]uint16{5, 2}, text)
}

func runNonFQDNHelo(e *eval, _ *rule) outcome {
	name, literal, valid := e.helo()
	if name == "" || valid && (literal || strings.Contains(strings.TrimSuffix(name, "."), ".")) {
		return pass
	}
	return e.refuseHelo(e.policy.opt.Config.Codes.NonFQDNRejectCode, [2]uint16{5, 2}, "need fully-qualified hostname")
}

// runUnknownHelo refuses a name without address and without MX.
func runUnknownHelo(e *eval, _ *rule) outcome {
	name, literal, valid := e.helo()
	if name == "" || literal && valid {
		return pass
	}
	const text = "Host not found"
	if !valid {
		return e.refuseHelo(e.policy.opt.Config.Codes.UnknownHostnameRejectCode, [2]uint16{7, 1}, text)
	}
	_, _, err := e.policy.opt.Resolver.LookupIP(e.ctx, name, dns.AnyIP)
	if err != nil && !dns.IsTemporary(err) {
		_, _, err = e.policy.opt.Resolver.LookupMX(e.ctx, name)
	}
	switch {
	case err == nil:
		return pass
	case dns.IsTemporary(err):
		return e.deferIfPermit(say(450, 7, 1, "<"+name+">: Helo command rejected: "+text))
	}
	return e.refuseHelo(e.policy.opt.Config.Codes.UnknownHostnameRejectCode, [2]uint16{7, 1}, text)
}

// unknownClient refuses a client without a name; for now where the DNS could not tell.
func (e *eval) unknownClient(detail uint16, text string) outcome {
	text += ", [" + e.addr().String() + "]"
	if e.session.conn.NameErr != nil {
		return e.refuse(obs.ReasonClient, status.Temp(450, 7, detail, "Client host rejected: "+text).With("look up the client's name", e.session.conn.NameErr))
	}
	return e.refuse(obs.ReasonClient, say(e.policy.opt.Config.Codes.UnknownClientRejectCode, 7, detail, "Client host rejected: "+text))
}

func runUnknownClient(e *eval, _ *rule) outcome {
	if e.session.conn.Client.Name != "" {
		return pass
	}
	return e.unknownClient(25, "cannot find your hostname")
}

func runUnknownReverse(e *eval, _ *rule) outcome {
	if e.session.conn.Reverse != "" || e.session.conn.Client.Name != "" {
		return pass
	}
	return e.unknownClient(1, "cannot find your reverse hostname")
}

// runPipelining refuses a client that did not wait for what it has to wait for (RFC 2920 §3.1).
func runPipelining(e *eval, _ *rule) outcome {
	c := e.session.conn
	if (c.Ahead == nil || !c.Ahead()) && !(c.Early && e.stage == gate.AtConnect) {
		return pass
	}
	about := e.about()
	return e.refuse(obs.ReasonProtocol, status.Perm(503, 5, 0, about.name()+": "+about.class+" rejected: Improper use of SMTP command pipelining"))
}

func runPlaintext(e *eval, _ *rule) outcome {
	if e.session.conn.TLS != nil {
		return pass
	}
	return e.refuse(obs.ReasonPolicy, say(e.policy.opt.Config.Codes.PlaintextRejectCode, 7, 1, "Session encryption is required"))
}
