package smtp

import (
	"crypto/tls"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Original is what a host in front of us told about the client that it speaks for, by XCLIENT or XFORWARD (Postfix's
// XCLIENT_README and XFORWARD_README). What it did not tell is empty.
type Original struct {
	Name     string // host name, verified by who told it; empty: it has none
	NameTold bool
	NameErr  bool           // the name could not be looked up then
	Addr     netip.AddrPort // port 0: not told
	Helo     string
	Protocol string // SMTP or ESMTP
	Ident    string // XFORWARD: the message's id there
	Local    bool   // XFORWARD: SOURCE=LOCAL, the message began on that host
}

// Client is the client that o tells of, on a session of c's; c itself where o is nil.
func (o *Original) Client(c flow.Client) flow.Client {
	if o == nil {
		return c
	}
	return flow.Client{Addr: o.Addr, Name: o.Name, Helo: o.Helo, Protocol: o.Protocol, Account: c.Account, Login: c.Login}
}

var (
	errNotYours = status.Perm(550, 7, 0, "Error: insufficient authorization")
	errAttr     = status.Perm(501, 5, 4, "Bad attribute name or value")
)

// maxAttrs bounds one command's attributes, maxAttr one value, decoded.
const (
	maxAttrs = 20
	maxAttr  = 255
)

// attr is one attribute of XCLIENT or XFORWARD. value is empty when it is [UNAVAILABLE] or [TEMPUNAVAIL], which soon tells
// apart.
type attr struct {
	name, value string
	missing     bool
	soon        bool // [TEMPUNAVAIL]
}

// parseAttrs reads "NAME=xtext …"; allowed are the names that may stand there.
func parseAttrs(args string, allowed string) ([]attr, error) {
	words := strings.Fields(args)
	if len(words) == 0 || len(words) > maxAttrs {
		return nil, errAttr
	}
	attrs := make([]attr, 0, len(words))
	for _, w := range words {
		name, text, ok := strings.Cut(w, "=")
		a := attr{name: strings.ToUpper(name)}
		if !ok || a.name == "" || !containsWord(allowed, a.name) {
			return nil, errAttr
		}
		switch strings.ToUpper(text) {
		case "[UNAVAILABLE]":
			a.missing = true
		case "[TEMPUNAVAIL]":
			a.missing, a.soon = true, true
		default:
			if a.value, ok = decodeXtext(text); !ok || a.value == "" || len(a.value) > maxAttr || !isPrintable(a.value) {
				return nil, errAttr
			}
		}
		attrs = append(attrs, a)
	}
	return attrs, nil
}

func containsWord(list, word string) bool {
	for w := range strings.SplitSeq(list, " ") {
		if w == word {
			return true
		}
	}
	return false
}

// addr reads an address: IPv6 has a tag in front.
func (a attr) addr() (netip.Addr, error) {
	text := a.value
	if len(text) > 5 && strings.EqualFold(text[:5], "IPv6:") {
		text = text[5:]
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}, errAttr
	}
	return ip.Unmap(), nil
}

func (a attr) port() (uint16, error) {
	if a.missing {
		return 0, nil
	}
	n, err := strconv.ParseUint(a.value, 10, 16)
	if err != nil {
		return 0, errAttr
	}
	return uint16(n), nil
}

// apply puts an attribute that both commands have into o.
func (o *Original) apply(a attr) error {
	switch a.name {
	case "NAME":
		o.Name, o.NameTold, o.NameErr = a.value, true, a.soon
	case "ADDR":
		ip := netip.Addr{}
		if !a.missing {
			var err error
			if ip, err = a.addr(); err != nil {
				return err
			}
		}
		o.Addr = netip.AddrPortFrom(ip, o.Addr.Port())
	case "PORT":
		port, err := a.port()
		if err != nil {
			return err
		}
		o.Addr = netip.AddrPortFrom(o.Addr.Addr(), port)
	case "PROTO":
		if o.Protocol = strings.ToUpper(a.value); !a.missing && o.Protocol != "SMTP" && o.Protocol != "ESMTP" {
			return errAttr
		}
	case "HELO":
		o.Helo = a.value
	case "IDENT":
		o.Ident = a.value
	case "SOURCE":
		if o.Local = strings.EqualFold(a.value, "LOCAL"); !a.missing && !o.Local && !strings.EqualFold(a.value, "REMOTE") {
			return errAttr
		}
	}
	return nil
}

const (
	xclientNames  = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
	xforwardNames = "NAME ADDR PORT PROTO HELO IDENT SOURCE"
)

// mayXClient judges who has connected, whomever it said since to speak for.
func (s *session) mayXClient() bool {
	return s.cfg.XClient != nil && s.cfg.XClient(s.peer.Direct.Addr())
}

func (s *session) mayXForward() bool {
	return s.cfg.XForward != nil && s.cfg.XForward(s.peer.Direct.Addr())
}

// xclient makes the session that of another client, as if that had just connected: Postfix's XCLIENT_README.
func (s *session) xclient(args string) {
	if !s.mayXClient() {
		s.fault(errNotYours)
		return
	}
	attrs, err := parseAttrs(args, xclientNames)
	if err != nil {
		s.fault(err)
		return
	}
	next := Original{Addr: s.peer.Remote}
	local, login := s.peer.Local, attr{}
	for _, a := range attrs {
		switch a.name {
		case "LOGIN":
			login = a
		case "DESTADDR":
			ip := netip.Addr{}
			if !a.missing {
				ip, err = a.addr()
			}
			local = netip.AddrPortFrom(ip, local.Port())
		case "DESTPORT":
			var port uint16
			port, err = a.port()
			local = netip.AddrPortFrom(local.Addr(), port)
		default:
			err = next.apply(a)
		}
		if err != nil {
			s.fault(err)
			return
		}
	}
	s.become(&next, local, login)
}

// become ends the backend's session and begins one for another client, which is greeted anew.
func (s *session) become(next *Original, local netip.AddrPort, login attr) {
	var who sasl.Identity
	if login.value != "" {
		if s.cfg.Login == nil {
			s.fault(errAttr)
			return
		}
		var err error
		if who, err = s.cfg.Login(s.ctx, login.value); err != nil {
			s.refuse(err, EventAuthFailed)
			return
		}
	}
	s.finish()
	s.back = nil
	s.cfg.Register.Ended(&s.peer)
	p := &s.peer
	p.Remote, p.Local, p.Told = next.Addr, local, next
	p.Hello, p.Extended, p.Identity, p.Mechanism, p.Early, p.Forwarded = "", false, sasl.Identity{}, "", false, nil
	p.TLS = withoutCertificate(p.TLS)
	s.cfg.Register.Connected(p, s.kick)
	if !who.IsZero() {
		p.Identity, p.Mechanism = who, "XCLIENT"
		if err := s.cfg.Register.LoggedIn(p); err != nil {
			p.Identity, p.Mechanism = sasl.Identity{}, ""
			s.hangUp(err, EndRefused)
			return
		}
	}
	s.welcome()
}

// withoutCertificate is TLS as the client has it that the host in front speaks for: the certificate is the host's own, and may let
// it relay, or log it in.
func withoutCertificate(t *tls.ConnectionState) *tls.ConnectionState {
	if t == nil {
		return nil
	}
	bare := *t
	bare.PeerCertificates, bare.VerifiedChains = nil, nil
	return &bare
}

// xforward notes the client that the next message came from, for log and content filters: Postfix's XFORWARD_README.
func (s *session) xforward(args string) {
	if !s.mayXForward() {
		s.fault(errNotYours)
		return
	}
	attrs, err := parseAttrs(args, xforwardNames)
	if err != nil {
		s.fault(err)
		return
	}
	next := Original{}
	if s.peer.Forwarded != nil {
		next = *s.peer.Forwarded // several commands add up
	}
	for _, a := range attrs {
		if err := next.apply(a); err != nil {
			s.fault(err)
			return
		}
	}
	s.peer.Forwarded = &next
	s.ok("2.0.0", "Ok")
}
