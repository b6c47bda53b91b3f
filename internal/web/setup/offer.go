package setup

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
)

// Protocol is what a service speaks.
type Protocol string

// The protocols of clients.
const (
	IMAP Protocol = "imap"
	POP3 Protocol = "pop3"
	SMTP Protocol = "smtp"
)

// Service is one way to read or to send. All ways want TLS before they take a password.
type Service struct {
	Protocol Protocol
	Host     string
	Port     int
	Implicit bool // TLS from the first byte; false: STARTTLS
}

// Security is the word of clients' settings for it.
func (s Service) Security() string {
	if s.Implicit {
		return "SSL/TLS"
	}
	return "STARTTLS"
}

// Offer is what a host offers to clients.
type Offer struct {
	Name     string // of the mail service as clients show it; empty: the domain
	Host     string
	URL      string    // of our pages as clients reach them, without a path; empty: there are none
	Services []Service // sorted by Sort
}

// Sort puts services into the order in which clients should try them: IMAP before POP3, and TLS from the first byte
// before STARTTLS (RFC 8314 §3).
func Sort(services []Service) {
	rank := map[Protocol]int{IMAP: 0, POP3: 1, SMTP: 2}
	slices.SortStableFunc(services, func(a, b Service) int {
		if c := cmp.Compare(rank[a.Protocol], rank[b.Protocol]); c != 0 || a.Implicit == b.Implicit {
			return c
		}
		if a.Implicit {
			return -1
		}
		return 1
	})
}

// best returns the services that a client should use which takes only one for reading and one for sending. ok is false
// when there is nothing to read or nothing to send with.
func (o Offer) best() (in, out Service, ok bool) {
	i := slices.IndexFunc(o.Services, func(s Service) bool { return s.Protocol != SMTP })
	j := slices.IndexFunc(o.Services, func(s Service) bool { return s.Protocol == SMTP })
	if i < 0 || j < 0 {
		return in, out, false
	}
	return o.Services[i], o.Services[j], true
}

// title is what clients show of the provider.
func (o Offer) title(domain string) string {
	if o.Name != "" {
		return o.Name
	}
	return address.DisplayDomain(domain)
}

// ProfileURL is where Apple's devices get the profile for an address; "" without pages.
func (o Offer) ProfileURL(addr string) string { return o.page(profilePath, "addresses", addr) }

// PageURL is the page for people.
func (o Offer) PageURL(addr string) string { return o.page(pagePath, "address", addr) }

func (o Offer) page(path, key, value string) string {
	if o.URL == "" {
		return ""
	}
	// A query may hold "@" as it is (RFC 3986 §3.4): the shorter the text, the smaller the QR code.
	return o.URL + path + "?" + key + "=" + strings.ReplaceAll(url.QueryEscape(value), "%40", "@")
}

// maxAddress bounds what is taken for an address: RFC 5321 §4.5.3.1, with room for other scripts.
const maxAddress = 512

// parse reads an address that a client sends. Only its domain is judged by anyone.
func parse(s string) (address.Address, bool) {
	if len(s) > maxAddress {
		return address.Address{}, false
	}
	a, err := address.Parse(strings.TrimSpace(s), true)
	if err != nil || a.Local == "" || a.Domain == "" || strings.HasPrefix(a.Domain, "[") {
		return address.Address{}, false
	}
	return a, true
}
