package dnslist

import (
	"fmt"
	"strconv"
	"strings"
)

// List is a DNS list as the configuration names it.
type List struct {
	Domain string // in lower case, without final dot
	Filter Filter // zero: every answer that can mean a listing
	Weight int    // what a listing adds to a score; 1 unless said otherwise
}

// MaxWeight bounds a weight, both ways.
const MaxWeight = 1_000_000

// Parse reads "domain", "domain=filter", and with weights allowed "domain*weight" and "domain=filter*weight".
func Parse(s string, weights bool) (List, error) {
	l := List{Weight: 1}
	text := strings.TrimSpace(s)
	text, weight, weighted := strings.Cut(text, "*")
	if weighted {
		if !weights {
			return List{}, fmt.Errorf("DNS list %.80q: a weight means nothing here, only in postscreen_dnsbl_sites", s)
		}
		n, err := strconv.Atoi(strings.TrimSpace(weight))
		if err != nil || n < -MaxWeight || n > MaxWeight {
			return List{}, fmt.Errorf("DNS list %.80q: %.20q is not a weight: expected is a whole number", s, weight)
		}
		l.Weight = n
	}
	domain, filter, filtered := strings.Cut(text, "=")
	if filtered {
		var err error
		if l.Filter, err = ParseFilter(strings.TrimSpace(filter)); err != nil {
			return List{}, fmt.Errorf("DNS list %.80q: %w", s, err)
		}
	}
	l.Domain = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(domain), "."))
	if !isName(l.Domain, maxDomain) {
		return List{}, fmt.Errorf("DNS list %.80q: %.80q is not a domain name", s, domain)
	}
	return l, nil
}

// ParseScored reads the items of a setting of lists with weights; an item may hold several, with commas or blanks between.
func ParseScored(items []string) ([]List, error) {
	var out []List
	for _, item := range items {
		for _, s := range strings.FieldsFunc(item, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
			l, err := Parse(s, true)
			if err != nil {
				return nil, err
			}
			if out = append(out, l); len(out) > MaxLists {
				return nil, fmt.Errorf("more than %d DNS lists: a client would wait for all of them", MaxLists)
			}
		}
	}
	return out, nil
}

// MaxLists bounds what one client makes us ask.
const MaxLists = 100

// String writes it as it is read, without a weight of 1.
func (l List) String() string {
	s := l.Key()
	if l.Weight != 1 {
		s += "*" + strconv.Itoa(l.Weight)
	}
	return s
}

// Key is the list without its weight.
func (l List) Key() string {
	if l.Filter.IsZero() {
		return l.Domain
	}
	return l.Domain + "=" + l.Filter.String()
}

// maxDomain leaves room for an IPv6 address in nibbles: 64 of the 253 characters of a name (RFC 1035 §2.3.4).
const maxDomain = 253 - 64

// isName tells what can be asked for: labels of letters, digits, hyphens and underscores.
func isName(s string, longest int) bool {
	if s == "" || len(s) > longest {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
