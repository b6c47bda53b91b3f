package mapconf

import (
	"fmt"
	"strings"
)

// Template is a query, or what is made of an answer, with the places where parts of the key go.
type Template struct {
	parts []part
	needs Needs
}

type part struct {
	text string // literal, if verb is 0
	verb byte
}

// Needs are what a key or a value must have, so that a template can be filled.
type Needs struct {
	User, Domain           bool // %u, %d of what is asked, or of the value in a result
	KeyDomain              bool // %D of the key, in a result
	Labels                 int  // the highest of %1 … %9: labels of the key's domain
	Dynamic                bool // anything of the key at all
	userOfKey, domainOfKey bool
}

// maxTemplate bounds a template, bytes.
const maxTemplate = 64 << 10

// NewTemplate reads a template.
func NewTemplate(text string) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("longer than %d bytes", maxTemplate)
	}
	t := &Template{}
	literal := func(s string) {
		if n := len(t.parts); n > 0 && t.parts[n-1].verb == 0 {
			t.parts[n-1].text += s
		} else if s != "" {
			t.parts = append(t.parts, part{text: s})
		}
	}
	for {
		before, after, ok := strings.Cut(text, "%")
		literal(before)
		if !ok {
			return t, nil
		}
		if after == "" {
			return nil, fmt.Errorf("%% at the end: a percent sign is written %%%%")
		}
		verb := after[0]
		text = after[1:]
		n := &t.needs
		switch {
		case verb == '%':
			literal("%")
			continue
		case verb == 's':
		case verb == 'u':
			n.User = true
		case verb == 'd':
			n.Domain = true
		case verb == 'S':
		case verb == 'U':
			n.userOfKey = true
		case verb == 'D':
			n.KeyDomain, n.domainOfKey = true, true
		case '1' <= verb && verb <= '9':
			n.KeyDomain = true
			n.Labels = max(n.Labels, int(verb-'0'))
		default:
			return nil, fmt.Errorf("%%%c is none of %%s %%u %%d %%S %%U %%D %%1 … %%9 %%%%", verb)
		}
		n.Dynamic = true
		t.parts = append(t.parts, part{verb: verb})
	}
}

// Dynamic tells whether anything of the key goes into the template.
func (t *Template) Dynamic() bool { return t.needs.Dynamic }

// Query fills a key in, each part of it quoted. ok is false where the key lacks what the template needs: there is no query,
// and the table has no answer.
func (t *Template) Query(key string, quote func(string) string) (query string, ok bool) {
	k := split(key)
	n := t.needs
	switch {
	case key == "",
		(n.Domain || n.KeyDomain) && k.domain == "",
		(n.User || n.userOfKey) && k.has && k.user == "", // "@domain" has no user
		n.Labels > len(k.labels):
		return "", false
	}
	return t.fill(k, k, quote), true
}

// Result makes an answer of one value that a query for key found. ok is false where the value lacks what the template needs,
// or is empty: it is left out.
func (t *Template) Result(key, value string) (result string, ok bool) {
	k, v := split(key), split(value)
	n := t.needs
	switch {
	case value == "",
		n.Domain && v.domain == "",
		n.User && v.has && v.user == "",
		n.KeyDomain && k.domain == "",
		n.userOfKey && k.has && k.user == "",
		n.Labels > len(k.labels):
		return "", false
	}
	return t.fill(k, v, func(s string) string { return s }), true
}

func (t *Template) fill(key, of address, quote func(string) string) string {
	var out strings.Builder
	for _, p := range t.parts {
		switch p.verb {
		case 0:
			out.WriteString(p.text)
		case 's':
			out.WriteString(quote(of.whole))
		case 'u':
			out.WriteString(quote(of.user))
		case 'd':
			out.WriteString(quote(of.domain))
		case 'S':
			out.WriteString(quote(key.whole))
		case 'U':
			out.WriteString(quote(key.user))
		case 'D':
			out.WriteString(quote(key.domain))
		default:
			out.WriteString(quote(key.labels[len(key.labels)-int(p.verb-'0')]))
		}
	}
	return out.String()
}

// address is a key or a value, cut at its last @.
type address struct {
	whole, user, domain string
	has                 bool     // there is an @
	labels              []string // of the domain
}

func split(s string) address {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return address{whole: s, user: s}
	}
	a := address{whole: s, user: s[:i], domain: s[i+1:], has: true}
	a.labels = strings.FieldsFunc(a.domain, func(r rune) bool { return r == '.' })
	return a
}
