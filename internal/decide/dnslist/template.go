package dnslist

import (
	"fmt"
	"slices"
	"strings"
)

// Names are what a template may speak of, as in Postfix.
var names = []string{
	"client", "client_address", "client_name", "reverse_client_name", "helo_name", "recipient", "recipient_domain", "recipient_name",
	"sender", "sender_domain", "sender_name", "rbl_class", "rbl_code", "rbl_domain", "rbl_reason", "rbl_txt", "rbl_what",
}

// Template is the text of a reply: "$name", "${name}", "$(name)", "${name?text}" (text if the name has a value),
// "${name:text}" (text if it has none), "${name?{text}:{text}}", and "$$" for a dollar sign. Texts may hold further names.
type Template struct {
	text  string
	parts []part
}

// part is a literal, or a name with what stands for it.
type part struct {
	literal string
	name    string // empty: the literal counts
	bare    bool   // the value itself
	yes, no []part // of a condition
}

const (
	maxTemplate = 4096
	maxDepth    = 8
	maxExpanded = 900 // octets of a reply: RFC 5321 §4.5.3.1.5 bounds a line to 512, many clients take more
)

// ParseTemplate reads a template.
func ParseTemplate(s string) (*Template, error) {
	if len(s) > maxTemplate {
		return nil, fmt.Errorf("template %.40q…: longer than %d octets", s, maxTemplate)
	}
	parts, err := parse(s, 0)
	if err != nil {
		return nil, fmt.Errorf("template %.80q: %w", s, err)
	}
	return &Template{text: s, parts: parts}, nil
}

// String is the template as it was read.
func (t *Template) String() string { return t.text }

func parse(s string, depth int) ([]part, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("conditions in conditions, more than %d deep", maxDepth)
	}
	var parts []part
	for s != "" {
		before, after, found := strings.Cut(s, "$")
		if before != "" {
			parts = append(parts, part{literal: before})
		}
		if !found {
			break
		}
		if rest, dollar := strings.CutPrefix(after, "$"); dollar {
			parts, s = append(parts, part{literal: "$"}), rest
			continue
		}
		p, rest, err := reference(after, depth)
		if err != nil {
			return nil, err
		}
		parts, s = append(parts, p), rest
	}
	return parts, nil
}

// reference reads what follows a dollar sign.
func reference(s string, depth int) (p part, rest string, err error) {
	if s == "" || s[0] != '{' && s[0] != '(' {
		n := nameLength(s)
		p, err = plain(s[:n])
		return p, s[n:], err
	}
	inner, rest, err := balanced(s)
	if err != nil {
		return part{}, "", err
	}
	n := nameLength(inner)
	if p, err = plain(inner[:n]); err != nil || n == len(inner) {
		return p, rest, err
	}
	p.bare = false
	condition, texts := inner[n], inner[n+1:]
	first, second := texts, ""
	if condition == '?' && strings.HasPrefix(texts, "{") {
		if first, texts, err = balanced(texts); err != nil {
			return part{}, "", err
		}
		if otherwise, has := strings.CutPrefix(texts, ":"); has {
			if second, err = unbraced(otherwise); err != nil {
				return part{}, "", err
			}
		} else if texts != "" {
			return part{}, "", fmt.Errorf("expected is ${name?{text}:{text}}, not %.40q behind the first text", texts)
		}
	} else if first, err = unbraced(texts); err != nil {
		return part{}, "", err
	}
	switch condition {
	case '?':
	case ':':
		first, second = "", first
	default:
		return part{}, "", fmt.Errorf("${%s: expected is } ? or : behind the name", inner[:n])
	}
	if p.yes, err = parse(first, depth+1); err == nil {
		p.no, err = parse(second, depth+1)
	}
	return p, rest, err
}

// unbraced takes the braces off that surround the whole of a text.
func unbraced(s string) (string, error) {
	if !strings.HasPrefix(s, "{") {
		return s, nil
	}
	inner, rest, err := balanced(s)
	if err == nil && rest != "" {
		err = fmt.Errorf("%.40q is left over behind }", rest)
	}
	return inner, err
}

// balanced cuts off what stands between s's first character, { or (, and the one that closes it.
func balanced(s string) (inner, rest string, err error) {
	open, end := s[0], byte('}')
	if open == '(' {
		end = ')'
	}
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case open:
			depth++
		case end:
			if depth--; depth == 0 {
				return s[1:i], s[i+1:], nil
			}
		}
	}
	return "", "", fmt.Errorf("%c is not closed in %.40q", open, s)
}

func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= 'a' && s[n] <= 'z' || s[n] >= 'A' && s[n] <= 'Z' || s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n
}

func plain(name string) (part, error) {
	if !slices.Contains(names, name) {
		return part{}, fmt.Errorf("there is no $%.40s; there are $%s", name, strings.Join(names, ", $"))
	}
	return part{name: name, bare: true}, nil
}

// Expand fills in values. Values come from strangers: they are made printable, and none is expanded again.
func (t *Template) Expand(value func(name string) string) string {
	var b strings.Builder
	expand(&b, t.parts, value)
	return Printable(b.String(), maxExpanded)
}

func expand(b *strings.Builder, parts []part, value func(string) string) {
	for _, p := range parts {
		if b.Len() > maxExpanded {
			return
		}
		switch {
		case p.name == "":
			b.WriteString(p.literal)
		case p.bare:
			b.WriteString(Printable(value(p.name), maxReason))
		case value(p.name) != "":
			expand(b, p.yes, value)
		default:
			expand(b, p.no, value)
		}
	}
}
