package table

import (
	"fmt"
	"strings"
)

// AliasKind is what a destination of an alias is.
type AliasKind int

// The kinds.
const (
	AliasAddress AliasKind = iota // an address, or a local name
	AliasInclude                  // :include:/path: a file of destinations
	AliasFile                     // /path: a mailbox to append to
	AliasCommand                  // |command
)

// Destination is one of those that an alias stands for.
type Destination struct {
	Kind AliasKind
	Text string // address, path or command, without quotes that surround the whole and without :include: or |
}

// MaxDestinations bounds what one alias, or one file that it includes, may name.
const MaxDestinations = 100_000

// Aliases parses aliases(5): "name: destination, destination", continued on lines that begin with a blank. A name in quotes
// loses them; its case is folded. The value is the text after the colon, for Destinations.
func Aliases(text string) (*Fixed, []Problem, error) {
	b := newBuilder()
	all, bad := lines(text)
	for _, l := range all {
		name, value, problem := aliasEntry(l.text)
		if problem == "" {
			fresh, err := b.add(name, value)
			if err != nil {
				return nil, bad, err
			}
			if !fresh {
				problem = fmt.Sprintf("duplicate entry %q: the first one counts", name)
			} else if _, wrong := Destinations(value); wrong != "" {
				problem = wrong
			}
		}
		if problem != "" {
			bad = append(bad, Problem{l.number, problem})
		}
	}
	return b.table(), bad, nil
}

func aliasEntry(s string) (name, value, problem string) {
	parts, wrong := cut(s, ':', 1, true)
	switch {
	case wrong != "":
		return "", "", wrong
	case len(parts) < 2:
		return "", "", "expected is name: destination, ..."
	}
	name = strings.Trim(parts[0], blanks)
	value, wrong = tidy(parts[1])
	if wrong != "" {
		return "", "", wrong
	}
	name, quoted := unquote(name)
	switch {
	case name == "":
		return "", "", "the name before the colon is missing"
	case strings.ContainsRune(name, '@') && !quoted:
		return "", "", fmt.Sprintf("%q is an address: aliases are names without a domain; use a virtual alias", name)
	case value == "":
		return "", "", fmt.Sprintf("%q has no destination", name)
	}
	return name, value, ""
}

// Destinations parses the right side of an alias, or a line of a file that it includes: separated by commas, except in
// quotes and comments in parentheses, which are left out.
func Destinations(s string) (all []Destination, problem string) {
	parts, problem := cut(s, ',', MaxDestinations, false)
	if problem != "" {
		return nil, problem
	}
	if len(parts) > MaxDestinations {
		return nil, fmt.Sprintf("more than %d destinations", MaxDestinations)
	}
	for _, part := range parts {
		text := strings.Trim(part, blanks+"\n")
		inner, quoted := unquote(text)
		switch {
		case inner == "":
		case strings.HasPrefix(inner, "|"):
			all = append(all, Destination{AliasCommand, strings.Trim(inner[1:], blanks)})
		case strings.HasPrefix(inner, "/"):
			all = append(all, Destination{AliasFile, inner})
		case len(inner) > 9 && strings.EqualFold(inner[:9], ":include:"):
			all = append(all, Destination{AliasInclude, strings.Trim(inner[9:], blanks)})
		case quoted && !strings.Contains(inner, "@"):
			all = append(all, Destination{AliasAddress, text}) // a local part that needs its quotes
		default:
			all = append(all, Destination{AliasAddress, inner})
		}
	}
	if len(all) == 0 {
		return nil, "there is no destination"
	}
	return all, ""
}

// IncludedLines parses a file that an alias includes: destinations, one or more a line, with comments and continued lines.
func IncludedLines(text string) (out []Destination, bad []Problem) {
	all, bad := lines(text)
	for _, l := range all {
		some, problem := Destinations(l.text)
		if len(out)+len(some) > MaxDestinations {
			problem = fmt.Sprintf("more than %d destinations", MaxDestinations)
		}
		if problem != "" {
			bad = append(bad, Problem{l.number, problem})
			continue
		}
		out = append(out, some...)
	}
	return out, bad
}

// tidy writes destinations as postalias -q shows them: one comma and one blank between them, comments kept.
func tidy(s string) (value, problem string) {
	parts, problem := cut(s, ',', MaxDestinations, true)
	out := parts[:0]
	for _, part := range parts {
		if part = strings.Trim(part, blanks); part != "" {
			out = append(out, part)
		}
	}
	return strings.Join(out, ", "), problem
}

// cut splits s at up to limit separators that stand outside of quotes and comments, and drops the comments or keeps them.
func cut(s string, separator byte, limit int, keep bool) (parts []string, problem string) {
	var b strings.Builder
	quoted, depth := false, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			if depth == 0 || keep {
				b.WriteString(s[i : i+2])
			}
			i++
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
			if keep {
				b.WriteByte(c)
			} else if depth == 0 {
				b.WriteByte(' ')
			}
			continue
		case c == separator && depth == 0 && len(parts) < limit:
			parts = append(parts, b.String())
			b.Reset()
			continue
		}
		if depth == 0 || keep {
			b.WriteByte(c)
		}
	}
	switch {
	case quoted:
		return nil, "unbalanced \" in " + fmt.Sprintf("%.60q", s)
	case depth > 0:
		return nil, "a comment ( is not closed in " + fmt.Sprintf("%.60q", s)
	}
	return append(parts, b.String()), ""
}

// unquote takes the quotes off that surround the whole of s, with the backslashes in it.
func unquote(s string) (inner string, quoted bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s, false
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s)-1:
			i++
		case s[i] == '"':
			return s, false
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}
