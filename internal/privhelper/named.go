package privhelper

import "strings"

// blanks separate, as in decide/table, whose reading of these files this one repeats: the helper links no more than it must.
const blanks = " \t\r\v\f"

// named tells whether aliases(5) (keyed: each entry has a name before a colon) or a .forward has a destination ("|command",
// "/file", ":include:/file"). So a server that was taken over gets nothing done that nobody has written: an argument of a
// command is no file to write to, the end of a pipeline no command.
func named(text, want string, keyed bool) bool {
	if len(want) < 2 {
		return false
	}
	// Most entries of a large file are ruled out by the longest word of what is wanted.
	word := ""
	for _, w := range strings.Fields(strings.TrimLeft(strings.TrimPrefix(want, ":include:"), "|")) {
		if len(w) > len(word) {
			word = w
		}
	}
	found := false
	entries(text, func(entry string) bool {
		if strings.Contains(entry, word) || strings.IndexByte(entry, '\\') >= 0 {
			for _, part := range parts(entry, keyed) {
				found = found || destination(part) == want
			}
		}
		return !found
	})
	return found
}

// entries yields each line with those that continue it, until yield returns false.
func entries(text string, yield func(string) bool) {
	first, more := "", strings.Builder{} // most lines are not continued, and cost no copy
	last := func() string {
		if more.Len() == 0 {
			return first
		}
		return first + more.String()
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		trimmed := strings.TrimLeft(line, blanks)
		switch {
		case trimmed == "", trimmed[0] == '#': // passed over, also between a line and what continues it
		case len(trimmed) < len(line):
			if first != "" && len(first)+more.Len()+len(line) <= MaxFile {
				more.WriteString(line)
			}
		default:
			if first != "" && !yield(last()) {
				return
			}
			first = line
			more.Reset()
		}
	}
	if first != "" {
		yield(last())
	}
}

// parts are what stands between commas, outside of quotes and without comments in parentheses. keyed: behind the first colon.
func parts(entry string, keyed bool) (all []string) {
	var b strings.Builder
	quoted, depth := false, 0
	for i := 0; i < len(entry); i++ {
		c := entry[i]
		switch {
		case c == '\\' && i+1 < len(entry):
			if depth == 0 {
				b.WriteString(entry[i : i+2])
			}
			i++
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			if depth--; depth == 0 {
				b.WriteByte(' ')
			}
			continue
		case depth > 0:
		case keyed && c == ':':
			keyed = false
			b.Reset()
			continue
		case !keyed && c == ',':
			all = append(all, b.String())
			b.Reset()
			continue
		}
		if depth == 0 {
			b.WriteByte(c)
		}
	}
	if quoted || depth > 0 || keyed {
		return nil
	}
	return append(all, b.String())
}

// destination is a part without the quotes around the whole of it and the backslashes in them, and without blanks behind what
// begins a command or an :include:.
func destination(part string) string {
	part = strings.Trim(part, blanks)
	if len(part) >= 2 && part[0] == '"' && part[len(part)-1] == '"' {
		if inner, ok := unquoted(part[1 : len(part)-1]); ok {
			part = inner
		}
	}
	const include = ":include:"
	switch {
	case strings.HasPrefix(part, "|"):
		return "|" + strings.Trim(part[1:], blanks)
	case len(part) > len(include) && strings.EqualFold(part[:len(include)], include):
		return include + strings.Trim(part[len(include):], blanks)
	}
	return part
}

// unquoted takes the backslashes out; ok is false when the quotes end before the end.
func unquoted(s string) (inner string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
		case s[i] == '"':
			return "", false
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}
