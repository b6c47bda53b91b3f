package table

import (
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
)

// Key is one of the keys that are tried for a question.
type Key struct {
	Text    string
	Partial bool   // a part of what was asked: tables of patterns are not asked for it
	Ext     string // the address extension that Text lacks, with its delimiter: "+detail"
}

// Parts says which parts of an address are tried, besides the whole of it.
type Parts int

// The parts, in the order in which they are tried.
const (
	WithoutExtension Parts = 1 << iota // user@domain of user+detail@domain
	LocalPart                          // user+detail, user: only of domains that are local (virtual(5), canonical(5))
	AtDomain                           // @domain
	Domain                             // domain, and with Parents what is above it (access(5), transport(5))
	Parents                            // .above as .above; else each parent domain as it is
	UserAt                             // user+detail@, user@ (access(5))
)

// Address lists the keys for an address. delims are the characters that begin an extension; dotted tells that a domain's
// parents are looked up with a leading dot (Postfix: the domain's list does not match subdomains by itself).
func Address(a address.Address, parts Parts, delims string, dotted bool) []Key {
	if a.IsZero() {
		return []Key{{Text: "<>"}}
	}
	whole := a.String()
	keys := append(make([]Key, 0, usualKeys), Key{Text: whole})
	base, ext, extended := address.SplitDelimiter(a.Local, delims)
	if extended {
		ext = a.Local[len(base):]
	}
	short := address.Address{Local: base, Domain: a.Domain}
	if extended && parts&WithoutExtension != 0 {
		keys = append(keys, Key{Text: short.String(), Partial: true, Ext: ext})
	}
	if parts&LocalPart != 0 {
		keys = append(keys, Key{Text: strings.TrimSuffix(whole, "@"+a.Domain), Partial: true})
		if extended {
			keys = append(keys, Key{Text: strings.TrimSuffix(short.String(), "@"+a.Domain), Partial: true, Ext: ext})
		}
	}
	if parts&AtDomain != 0 {
		keys = append(keys, Key{Text: "@" + a.Domain, Partial: true})
	}
	if parts&Domain != 0 {
		first := len(keys)
		keys = appendHost(keys, a.Domain, parts&Parents != 0, dotted)
		keys[first].Partial = true
	}
	if parts&UserAt != 0 {
		keys = append(keys, Key{Text: strings.TrimSuffix(whole, a.Domain), Partial: true})
		if extended {
			keys = append(keys, Key{Text: strings.TrimSuffix(short.String(), a.Domain), Partial: true, Ext: ext})
		}
	}
	return keys
}

// usualKeys are as many as most names and addresses have.
const usualKeys = 6

// maxParents bounds the parent domains that are tried.
const maxParents = 127

// Host lists the keys for a host or domain name: the name, then its parents, with a leading dot or without.
func Host(name string, parents, dotted bool) []Key {
	return appendHost(make([]Key, 0, usualKeys), name, parents, dotted)
}

func appendHost(keys []Key, name string, parents, dotted bool) []Key {
	keys = append(keys, Key{Text: name})
	if !parents || strings.HasPrefix(name, "[") {
		return keys
	}
	for range maxParents {
		_, above, ok := strings.Cut(name, ".")
		if !ok || above == "" {
			break
		}
		name = above
		if dotted {
			keys = append(keys, Key{Text: "." + above, Partial: true})
		} else {
			keys = append(keys, Key{Text: above, Partial: true})
		}
	}
	return keys
}

// Client lists the keys for a client's address, access(5): the address, then the networks that hold it, cut at dots or
// colons.
func Client(a netip.Addr) []Key {
	a = a.Unmap().WithZone("")
	text := a.String()
	keys := append(make([]Key, 0, usualKeys), Key{Text: text})
	if a.Is4() {
		for i := strings.LastIndexByte(text, '.'); i > 0; i = strings.LastIndexByte(text, '.') {
			text = text[:i]
			keys = append(keys, Key{Text: text, Partial: true})
		}
		return keys
	}
	for i := strings.LastIndexByte(text, ':'); i > 0; i = strings.LastIndexByte(text, ':') {
		text = strings.TrimRight(text[:i], ":")
		keys = append(keys, Key{Text: text, Partial: true})
	}
	return keys
}
