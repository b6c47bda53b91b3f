package dnslist

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/dns"
)

// Resolver asks the DNS; *dns.Resolver is one.
type Resolver interface {
	LookupIP(ctx context.Context, host string, want dns.IPVersions) ([]netip.Addr, dns.Meta, error)
	LookupTXT(ctx context.Context, name string) ([]string, dns.Meta, error)
}

// Answer is what a list says of somebody.
type Answer struct {
	List   List
	Name   string        // what was asked for; empty: nothing, since no list could have it
	Listed bool          // it has somebody, and the filter wants the answer
	Codes  []netip.Addr  // all that it answered
	TTL    time.Duration // how long this holds; 0: not known, or not at all
	Err    error         // why it is not known; or an answer that lists nobody
}

// Asker asks lists.
type Asker struct {
	Resolver Resolver
	Timeout  time.Duration // for all lists of one call together; 0: 10 s
}

// Client asks all lists for an address at once. The answers are in the order of the lists.
func (a *Asker) Client(ctx context.Context, client netip.Addr, lists []List) []Answer {
	client = client.Unmap()
	if !client.IsValid() || client == netip.IPv6Loopback() || client == netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
		return a.all(ctx, "", lists)
	}
	return a.all(ctx, reverse(client), lists)
}

// Domain asks all lists for a domain at once.
func (a *Asker) Domain(ctx context.Context, domain string, lists []List) []Answer {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if !isName(domain, 253) || isAddress(domain) {
		domain = "" // a literal, an address without brackets, a name that cannot be asked for: no list has it
	}
	return a.all(ctx, domain, lists)
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// all asks each domain once, however many filters want its answer.
func (a *Asker) all(ctx context.Context, what string, lists []List) []Answer {
	out := make([]Answer, len(lists))
	first := map[string]int{}
	var asked []int
	for i, l := range lists {
		out[i].List = l
		if name := what + "." + l.Domain; what != "" && isName(name, 253) {
			out[i].Name = name
			if _, again := first[name]; !again {
				first[name] = i
				asked = append(asked, i)
			}
		}
	}
	timeout := a.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var group sync.WaitGroup
	for n, i := range asked {
		if n == len(asked)-1 {
			a.ask(ctx, &out[i]) // the last one needs no goroutine
			break
		}
		group.Go(func() { a.ask(ctx, &out[i]) })
	}
	group.Wait()
	for i := range out {
		if from := first[out[i].Name]; out[i].Name != "" {
			out[i].Codes, out[i].TTL, out[i].Err = out[from].Codes, out[from].TTL, out[from].Err
		}
	}
	for i := range out {
		out[i].judge()
	}
	return out
}

func (a *Asker) ask(ctx context.Context, into *Answer) {
	codes, meta, err := a.Resolver.LookupIP(ctx, into.Name, dns.IPv4)
	switch {
	case err == nil:
		into.Codes, into.TTL = codes, meta.TTL
	case dns.IsNotFound(err):
		into.TTL = dns.TTLOf(err)
	default:
		into.Err = err
	}
}

// judge decides what an answer means: RFC 5782 §2.1.
func (a *Answer) judge() {
	for _, code := range a.Codes {
		switch {
		case !a.List.Filter.IsZero():
			a.Listed = a.Listed || a.List.Filter.Match(code)
		case means(code):
			a.Listed = true
		}
	}
	if len(a.Codes) == 0 || a.Listed {
		return
	}
	for _, code := range a.Codes {
		if !means(code) {
			a.Err = fmt.Errorf("%s answers %s: %w", a.List.Domain, code, ErrNoListing)
		}
	}
}

// ErrNoListing is an answer with which a list says something else than that it has somebody.
var ErrNoListing = errors.New("that is no listing; the list may refuse this resolver, or not be one any more")

// means tells whether an answer can mean a listing when there is no filter to say so.
func means(code netip.Addr) bool {
	b := code.As4()
	refused := b[1] == 255 && b[2] == 255
	return b[0] == 127 && code != netip.AddrFrom4([4]byte{127, 0, 0, 1}) && !refused
}

// Score adds up the weights of those that list somebody.
func Score(answers []Answer) int {
	sum := 0
	for _, a := range answers {
		if a.Listed {
			sum += a.List.Weight
		}
	}
	return sum
}

// maxReason bounds the text that a list gives for a listing.
const maxReason = 400

// Reason is the text that a list gives for a listing (RFC 5782 §2.1); empty if there is none, or not in time.
func (a *Asker) Reason(ctx context.Context, of Answer) string {
	if of.Name == "" {
		return ""
	}
	timeout := a.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	texts, _, err := a.Resolver.LookupTXT(ctx, of.Name)
	if err != nil || len(texts) == 0 {
		return ""
	}
	return Printable(strings.TrimSpace(strings.Join(texts, " ")), maxReason)
}

// Printable makes a stranger's text fit for a reply: what is not printable ASCII becomes "_", and what is too long is cut.
func Printable(s string, longest int) string {
	b := []byte(s[:min(len(s), longest)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '_'
		}
	}
	return string(b)
}

// reverse is an address as lists have it: RFC 5782 §2.1, §2.4.
func reverse(addr netip.Addr) string {
	b := addr.AsSlice()
	var s strings.Builder
	for i := len(b) - 1; i >= 0; i-- {
		if addr.Is4() {
			s.WriteString(strconv.Itoa(int(b[i])) + ".")
			continue
		}
		const hex = "0123456789abcdef"
		s.Write([]byte{hex[b[i]&15], '.', hex[b[i]>>4], '.'})
	}
	return strings.TrimSuffix(s.String(), ".")
}
