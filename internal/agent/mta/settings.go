package mta

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// TLS says how much TLS a connection must have.
type TLS uint8

// The levels, from the mildest.
const (
	TLSNone        TLS = iota // not even if offered
	TLSMay                    // if offered, and in the clear if it fails; nothing is verified (RFC 7435)
	TLSEncrypt                // no mail without it; nothing is verified
	TLSFingerprint            // and the certificate, or its key, must be one of those that are named
	TLSVerify                 // and the certificate must be by an authority, for the names that are wanted
)

// Settings are what a reload may change.
type Settings struct {
	Resolver Resolver
	Hello    string // our name for EHLO
	Port     uint16 // of mail exchangers, and of next hops that name none
	// TLS is for all but the smart host and what PolicyMaps know: ParsePolicy's levels.
	TLS Policy
	// PolicyMaps have the policies of destinations, smtp_tls_policy_maps.
	PolicyMaps table.List
	// Certificate is ours, for hosts that ask for one; nil: none.
	Certificate *tls.Certificate
	// PasswordMaps have name:password by the sender (with SenderAuth), the host's name, or the next hop as it is written.
	PasswordMaps table.List
	SenderAuth   bool
	Delimiter    string // of address extensions, for SenderAuth
	// Fallback takes what the hosts of a destination do not, for now; nil: nobody does.
	Fallback []flow.NextHop
	// Egress are the pools of addresses to connect from; senders of none have SourceIPv4, SourceIPv6, Hello.
	Egress []*Pool
	// MaxUses is how many messages go over one connection, so that equal hosts share the load in time; 0: any number.
	MaxUses int
	// RootCAs are who is believed at TLSVerify; nil: the system's.
	RootCAs   *x509.CertPool
	SmartHost SmartHost
	// Relayhost takes what SmartHost would, in the form of flow.Recipient.NextHop; empty, or there is a SmartHost: nothing.
	Relayhost string
	// Generic maps the addresses of envelopes that leave by SMTP; nil: they stay. Its error is a temporary one.
	Generic func(context.Context, address.Address) (address.Address, error)
	// Checks changes how a message that leaves by SMTP is read (smtp_header_checks); nil: it is read as it is. Its error is a
	// temporary one.
	Checks        func(context.Context, *flow.Job, *recipe.Reader) (*recipe.Reader, error)
	IP            dns.IPVersions
	SourceIPv4    netip.Addr // to connect from; invalid: the system's choice
	SourceIPv6    netip.Addr
	Bounce8Bit    bool // 8-bit text for a host without 8BITMIME fails with 5.6.3, instead of going as it is
	MaxRecipients int  // of one transaction; 0: 100
	Connect       time.Duration
	Timeouts      smtp.ClientTimeouts
	Idle          time.Duration // how long a connection waits for its next message
}

// SmartHost takes the recipients that have no next hop of their own, and those whose next hop it is.
type SmartHost struct {
	Host     string // name or address, no brackets; empty: there is none
	Port     uint16 // 465: TLS from the first byte (RFC 8314)
	User     string // empty: no AUTH. With one TLS must be TLSEncrypt or TLSVerify, or Port 465
	Password string
	TLS      Policy
}

// Ports that mean something.
const (
	portLMTP        = 24
	portSubmissions = 465
)

// NewSettings makes settings of a valid configuration. password is the content of the smart host's password file, roots
// are the system's authorities together with tls.ca.
func NewSettings(c *config.Config, r Resolver, password string, roots *x509.CertPool) *Settings {
	m := &c.MTA
	s := &Settings{
		Resolver: r, Hello: m.HeloName, Port: uint16(m.Port), TLS: level(m.TLS), RootCAs: roots,
		IP:         map[string]dns.IPVersions{"ipv4": dns.IPv4, "ipv6": dns.IPv6}[m.InetProtocols],
		Bounce8Bit: m.EightBit == "bounce", MaxRecipients: m.MaxRecipients, Connect: m.ConnectTimeout.D(),
		Timeouts: smtp.ClientTimeouts{Greeting: m.CommandTimeout.D(), Command: m.CommandTimeout.D(), DataInit: m.CommandTimeout.D(),
			Block: m.DataTimeout.D(), DataEnd: m.DataDoneTimeout.D()},
		Idle: m.IdleTimeout.D(), Relayhost: c.Routing.Relayhost,
		SenderAuth: m.SMTPSenderDependentAuthentication, Delimiter: c.Delivery.RecipientDelimiter,
		Fallback: fallback(m.SMTPFallbackRelay), Egress: pools(c.Egress), MaxUses: m.SMTPConnectionReuseCountLimit,
	}
	if s.Hello == "" {
		s.Hello = c.Hostname
	}
	// What cannot be read is the zero Addr, the system's choice; validation has seen it before.
	s.SourceIPv4, _ = netip.ParseAddr(m.SourceIPv4)
	s.SourceIPv6, _ = netip.ParseAddr(m.SourceIPv6)
	if h := &m.SmartHost; h.Host != "" {
		s.SmartHost = SmartHost{Host: strings.Trim(h.Host, "[]"), Port: uint16(h.Port), User: h.User, Password: strings.TrimRight(password, "\r\n"),
			TLS: level(h.TLS)}
	}
	return s
}

// fallback reads the fall-back relays; the node has seen that they can be read.
func fallback(items []string) (out []flow.NextHop) {
	for _, item := range items {
		hops, _ := flow.ParseNextHop(flow.SMTP, item)
		out = append(out, hops...)
	}
	return out
}

// pools are the egress pools by name. Validation has seen their addresses.
func pools(c map[string]*config.Egress) (out []*Pool) {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		p := &Pool{Name: name}
		for _, d := range c[name].SenderDomains {
			canonical, err := address.CanonicalDomain(strings.TrimPrefix(d, "."))
			switch {
			case d == "<>" || err != nil:
				canonical = strings.ToLower(d)
			case d[0] == '.':
				canonical = "." + canonical
			}
			p.Domains = append(p.Domains, canonical)
		}
		for _, item := range c[name].Addresses {
			if addr, hello, err := c[name].Source(item); err == nil {
				p.From = append(p.From, Source{addr, hello})
			}
		}
		out = append(out, p)
	}
	return out
}

// level is the policy of a level that validation has let through.
func level(word string) Policy {
	if word == "" {
		return Policy{}
	}
	p, err := policyOf(word)
	if err != nil {
		return Policy{Level: TLSEncrypt}
	}
	return p
}
