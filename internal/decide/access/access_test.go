package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/dnslist"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// world is what a policy asks, in the tests: here.example is ours, with alice and bob; relay.example is relayed to.
type world struct {
	files  map[string]string // tables of files by path
	dns    map[string]string // "name TYPE" → answer; "temp": a failure
	asked  []Attribute
	action string // of policy servers
	probes map[string]error
}

func (w *world) tables(setting string) (table.List, error) {
	kind, name, _ := strings.Cut(setting, ":")
	switch kind {
	case "inline":
		t, err := table.Inline(name)
		return table.List{t}, err
	case "static":
		t, err := table.NewStatic(name)
		return table.List{t}, err
	case "fail":
		return table.List{broken{}}, nil
	case "cidr", "regexp":
		read := table.CIDR
		if kind == "regexp" {
			read = table.Regexp
		}
		t, bad := read(w.files[name])
		if len(bad) > 0 {
			return nil, errors.New(bad[0].String())
		}
		return table.List{t}, nil
	}
	return nil, fmt.Errorf("unknown type %q", kind)
}

type broken struct{}

func (broken) Lookup(context.Context, string) (string, bool, error) {
	return "", false, errors.New("down")
}
func (broken) Pattern() bool { return false }

func (w *world) answer(name, kind string) ([]string, error) {
	switch text, ok := w.dns[name+" "+kind]; {
	case !ok:
		return nil, &dns.Error{Kind: dns.NXDomain, Name: name, Type: kind}
	case text == "temp":
		return nil, &dns.Error{Kind: dns.Temporary, Name: name, Type: kind}
	default:
		return strings.Fields(text), nil
	}
}

func (w *world) LookupIP(_ context.Context, host string, _ dns.IPVersions) (addrs []netip.Addr, _ dns.Meta, err error) {
	list, err := w.answer(host, "A")
	for _, a := range list {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, dns.Meta{}, err
}

func (w *world) LookupMX(_ context.Context, domain string) (mxs []dns.MX, _ dns.Meta, err error) {
	list, err := w.answer(domain, "MX")
	for i, h := range list {
		mxs = append(mxs, dns.MX{Preference: uint16(i), Host: strings.TrimSuffix(h, ".")})
	}
	return mxs, dns.Meta{}, err
}

func (w *world) LookupNS(_ context.Context, domain string) ([]string, dns.Meta, error) {
	list, err := w.answer(domain, "NS")
	return list, dns.Meta{}, err
}

func (w *world) LookupTXT(_ context.Context, name string) ([]string, dns.Meta, error) {
	text, ok := w.dns[name+" TXT"]
	if !ok {
		return nil, dns.Meta{}, &dns.Error{Kind: dns.NXDomain}
	}
	return []string{text}, dns.Meta{}, nil
}

func (w *world) Ask(_ context.Context, service string, a []Attribute) (string, error) {
	w.asked = a
	if service == "inet:broken:1" {
		return "", errors.New("refused")
	}
	return w.action, nil
}

func (w *world) Check(service string) error {
	if !strings.HasPrefix(service, "inet:") && !strings.HasPrefix(service, "unix:") {
		return fmt.Errorf("%q is not inet:host:port or unix:path", service)
	}
	return nil
}

func (w *world) Authorized(_ context.Context, a address.Address) (bool, error) {
	if a.Domain == "broken.example" {
		return false, errors.New("directory is down")
	}
	return a.Domain == "" || a.Domain == "here.example" || a.Domain == "relay.example", nil
}

func (w *world) Fails(_ context.Context, a address.Address) (*status.Error, error) {
	if a.Domain == "gone.example" {
		return status.Perm(550, 1, 2, "this domain is gone"), nil
	}
	return nil, nil
}

func (w *world) Listed(_ context.Context, a address.Address, sender bool) (bool, string, error) {
	if sender && a.Local == "old" {
		return true, "", nil
	}
	return a.Domain != "here.example" || a.Local == "alice" || a.Local == "bob", "local recipient table", nil
}

func (w *world) OwnsAddress(_ context.Context, account int64, a address.Address) (bool, error) {
	return account == 1 && a.Local == "alice" && a.Domain == "here.example", nil
}

func (w *world) Probe(_ context.Context, a address.Address) error { return w.probes[a.String()] }

// options are those of a service with the lists of a text: "recipient: permit_mynetworks, reject" in lines; "class NAME = …".
func (w *world) options(t testing.TB, text string) Options {
	t.Helper()
	c := config.Defaults().Access
	o := Options{Section: "access.smtp", Domain: "here.example", Delimiters: "+", Tables: w.tables, Destinations: w, Resolver: w,
		DNSLists: &dnslist.Asker{Resolver: w}, Servers: w, Owners: w, Prober: w,
		Ours: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.25") }}
	_ = c.Mynetworks
	var nets config.Network
	if err := nets.UnmarshalText([]byte("10.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	o.Mynetworks = config.Networks{nets}
	o.Lists.SmtpdDelayReject = true
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		list := []string{value}
		switch key {
		case "client":
			o.Lists.SmtpdClientRestrictions = list
		case "helo":
			o.Lists.SmtpdHeloRestrictions = list
		case "sender":
			o.Lists.SmtpdSenderRestrictions = list
		case "relay":
			o.Lists.SmtpdRelayRestrictions = list
		case "recipient":
			o.Lists.SmtpdRecipientRestrictions = list
		case "data":
			o.Lists.SmtpdDataRestrictions = list
		case "eod":
			o.Lists.SmtpdEndOfDataRestrictions = list
		case "class":
			c.RestrictionClasses = append(c.RestrictionClasses, value)
		case "logins":
			c.SmtpdSenderLoginMaps = list
		case "replies":
			c.RBLReplyMaps = list
		case "certs":
			c.RelayClientcerts = list
		case "set":
			switch value {
			case "early":
				o.Lists.SmtpdDelayReject = false
			case "unlisted":
				c.SmtpdRejectUnlistedSender = true
			case "dotted":
				c.ParentDomainMatchesSubdomains = nil
			}
		default:
			t.Fatalf("line %q", line)
		}
	}
	o.Config = c
	return o
}

// talk is a session of one transaction. facts: "client=192.0.2.9 name=mx.far.example helo=… from=… to=…,… login=… tls ahead";
// the answer is the first refusal with its stage, or "ok" with what was changed.
func talk(t testing.TB, p *Policy, facts string) string {
	t.Helper()
	conn := &gate.Conn{Service: "smtp", Session: "smtp-1", Extended: true}
	addr, from, to := "198.51.100.7", "x@far.example", "alice@here.example"
	conn.Client.Helo = "mx.far.example"
	for _, f := range strings.Fields(facts) {
		k, v, _ := strings.Cut(f, "=")
		switch k {
		case "client":
			addr = v
		case "name":
			conn.Client.Name, conn.Reverse = v, v
		case "reverse":
			conn.Reverse = v
		case "nameerr":
			conn.NameErr = errors.New("SERVFAIL")
		case "helo":
			conn.Client.Helo = v
		case "from":
			from = v
		case "to":
			to = v
		case "login":
			conn.Client.Login, conn.Client.Account = v, 1
		case "tls":
			conn.TLS = &tls.ConnectionState{}
		case "cert":
			conn.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("c"), RawSubjectPublicKeyInfo: []byte("k")}}}
		case "ahead":
			conn.Ahead = func() bool { return true }
		default:
			t.Fatalf("fact %q", f)
		}
	}
	conn.Client.Addr = netip.AddrPortFrom(netip.MustParseAddr(addr), 1234)
	said := func(stage string, err error) string {
		e := status.Of(err)
		return fmt.Sprintf("%s: %d %s %s", stage, e.Code, e.Enhanced, e.Public)
	}
	s, err := p.Connect(t.Context(), conn)
	if err != nil {
		return said("connect", err)
	}
	defer s.Close()
	if err := s.Hello(t.Context()); err != nil {
		return said("helo", err)
	}
	env := &envelope.Envelope{From: parse(t, from)}
	tx := &gate.Transaction{Transaction: &flow.Transaction{Client: conn.Client, Started: time.Unix(0, 0)}, Conn: conn, Envelope: env}
	if err := s.Mail(t.Context(), tx); err != nil {
		return said("mail", err)
	}
	out := "ok"
	for a := range strings.SplitSeq(to, ",") {
		tx.MayRelay = false
		r := envelope.Recipient{To: parse(t, a)}
		if err := s.Rcpt(t.Context(), tx, &r); err != nil {
			return said("rcpt", err)
		}
		if tx.MayRelay {
			out = "ok relay"
		}
		env.Recipients = append(env.Recipients, r)
	}
	if err := s.Data(t.Context(), tx); err != nil {
		return said("data", err)
	}
	if err := s.Message(t.Context(), tx, &gate.Message{Size: 1000}); err != nil {
		return said("message", err)
	}
	return out + changes(&tx.Changes)
}

func changes(c *flow.Changes) (out string) {
	for name, v := range map[string]string{"hold": c.Hold, "discard": c.Discard, "filter": c.Filter, "redirect": c.Redirect.String(), "prepend": string(c.Prepend)} {
		if v != "" {
			out += " " + name + "=" + strings.TrimSpace(v)
		}
	}
	for _, a := range c.BCC {
		out += " bcc=" + a.String()
	}
	return out
}

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	switch s {
	case "<>":
		return address.Address{}
	case "postmaster":
		return address.Address{Local: s}
	}
	a, err := address.Parse(s, true)
	if err != nil {
		t.Fatal(s, err)
	}
	return a
}

func build(t testing.TB, w *world, text string) *Policy {
	t.Helper()
	p, err := New(w.options(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReasons(t *testing.T) {
	w := &world{}
	for lists, want := range map[string]obs.Reason{
		"client: reject": obs.ReasonClient, "helo: reject": obs.ReasonHelo, "sender: reject": obs.ReasonSender,
		"relay: reject_unauth_destination": obs.ReasonRelay, "recipient: reject": obs.ReasonPolicy,
		"recipient: check_recipient_access static:REJECT": obs.ReasonRecipient,
	} {
		p := build(t, w, lists)
		s, err := p.Connect(t.Context(), &gate.Conn{})
		if err != nil {
			t.Fatal(err)
		}
		tx := &gate.Transaction{Transaction: &flow.Transaction{}, Envelope: &envelope.Envelope{}}
		err = errors.Join(s.Mail(t.Context(), tx), s.Rcpt(t.Context(), tx, &envelope.Recipient{To: parse(t, "a@far.example")}))
		if got := gate.ReasonOf(err, ""); got != want {
			t.Errorf("%s: %q", lists, got)
		}
	}
}

func contains(text, want string) bool { return strings.Contains(text, want) }
