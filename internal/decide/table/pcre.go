package table

import (
	"fmt"
	"strings"
)

// translatePCRE writes an expression of Perl's kind as one of package regexp, and refuses by name what that cannot do.
func translatePCRE(s string, extended bool) (string, error) {
	t := &pcre{s: s, extended: extended}
	for t.at < len(t.s) {
		if err := t.next(); err != nil {
			return "", err
		}
		if t.out.Len() > 4*maxPattern {
			return "", fmt.Errorf("the pattern is too large")
		}
	}
	return t.out.String(), nil
}

type pcre struct {
	s        string
	at       int
	out      strings.Builder
	extended bool // flag x: blanks and comments do not count
	repeated bool // the last thing was *, +, ? or {m,n}
}

func (t *pcre) rest() string { return t.s[t.at:] }

func (t *pcre) emit(text string, used int) {
	t.out.WriteString(text)
	t.at += used
}

// next handles one element.
func (t *pcre) next() error {
	rest, repeated := t.rest(), t.repeated
	t.repeated = false
	switch c := rest[0]; c {
	case '\\':
		return t.escape(false)
	case '[':
		return t.class()
	case '(':
		return t.group()
	case '*', '+', '?', '{':
		n := 1
		if c == '{' {
			if n = interval(rest); n == 0 {
				t.emit(`\{`, 1)
				return nil
			}
		}
		if repeated && c == '+' {
			return refuse("possessive repetition (%s%c)", string(t.s[t.at-1]), c)
		}
		t.repeated = !repeated // a ? behind a repetition makes it lazy and ends it
		t.emit(rest[:n], n)
		return nil
	case '#':
		if t.extended {
			t.at += len(rest)
			return nil
		}
	}
	if t.extended && strings.IndexByte(blanks+"\n", rest[0]) >= 0 {
		t.at++
		t.repeated = repeated
		return nil
	}
	t.emit(rest[:1], 1)
	return nil
}

// interval returns the length of {m}, {m,} or {m,n} at the beginning of s; 0: a brace that stands for itself.
func interval(s string) int {
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return 0
	}
	low, high, _ := strings.Cut(s[1:end], ",")
	if low == "" || strings.Trim(low+high, "0123456789") != "" {
		return 0
	}
	return end + 1
}

func refuse(what string, args ...any) error {
	return fmt.Errorf(what+" is not supported", args...)
}

// group handles what begins with a parenthesis.
func (t *pcre) group() error {
	rest := t.rest()
	if strings.HasPrefix(rest, "(*") {
		return refuse("a verb (%.12s)", rest)
	}
	if !strings.HasPrefix(rest, "(?") {
		t.emit("(", 1)
		return nil
	}
	for _, no := range []struct{ begins, what string }{
		{"(?=", "look-ahead"}, {"(?!", "negative look-ahead"}, {"(?<=", "look-behind"}, {"(?<!", "negative look-behind"},
		{"(?>", "an atomic group"}, {"(?|", "a branch reset group"}, {"(?(", "a conditional group"}, {"(?C", "a callout"},
		{"(?R", "recursion"}, {"(?&", "recursion"}, {"(?P>", "recursion"}, {"(?P=", "a back reference"}, {"(?+", "recursion"},
	} {
		if strings.HasPrefix(rest, no.begins) {
			return refuse("%s %s)", no.what, no.begins)
		}
	}
	switch {
	case strings.HasPrefix(rest, "(?#"):
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return fmt.Errorf("the comment (?# is not closed")
		}
		t.at += end + 1
		return nil
	case strings.HasPrefix(rest, "(?'"):
		name, _, ok := strings.Cut(rest[3:], "'")
		if !ok {
			return fmt.Errorf("the name of a group is not closed: %.20q", rest)
		}
		t.emit("(?P<"+name+">", len(name)+4)
		return nil
	}
	end := 2
	for end < len(rest) && (isAlnum(rest[end]) || rest[end] == '-') {
		end++
	}
	switch flags := rest[2:end]; {
	case flags != "" && strings.Trim(flags, "0123456789-") == "":
		return refuse("recursion (?%s)", flags)
	case strings.ContainsAny(flags, "xJn") && flags != "P":
		return refuse("the option (?%s)", flags)
	case flags == "P" || flags == "" && strings.HasPrefix(rest, "(?<"):
		name, _, ok := strings.Cut(rest, ">")
		if !ok {
			return fmt.Errorf("the name of a group is not closed: %.20q", rest)
		}
		t.emit(name+">", len(name)+1)
		return nil
	}
	if end < len(rest) && (rest[end] == ':' || rest[end] == ')') {
		end++
	}
	t.emit(rest[:end], end)
	return nil
}

// class copies a list of characters. In it a [ that begins no [:class:] stands for itself.
func (t *pcre) class() error {
	t.emit("[", 1)
	if strings.HasPrefix(t.rest(), "^") {
		t.emit("^", 1)
	}
	if strings.HasPrefix(t.rest(), "]") {
		t.emit(`\]`, 1)
	}
	for t.at < len(t.s) {
		rest := t.rest()
		switch {
		case rest[0] == ']':
			t.emit("]", 1)
			return nil
		case rest[0] == '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		case strings.HasPrefix(rest, "[:<:]"), strings.HasPrefix(rest, "[:>:]"):
			return refuse("%.5s; \\b is", rest)
		case strings.HasPrefix(rest, "[:") && strings.Contains(rest, ":]"):
			end := strings.Index(rest, ":]") + 2
			t.emit(rest[:end], end)
		case strings.HasPrefix(rest, "[."), strings.HasPrefix(rest, "[="):
			return refuse("a collating element (%.4s)", rest)
		case rest[0] == '[':
			t.emit(`\[`, 1)
		default:
			t.emit(rest[:1], 1)
		}
	}
	return fmt.Errorf("[ without ]")
}

// escape handles a backslash and what follows it.
func (t *pcre) escape(inClass bool) error {
	rest := t.rest()
	if len(rest) < 2 {
		return fmt.Errorf("a backslash at the end of the pattern")
	}
	c := rest[1]
	if set := perlSet(c, inClass); set != "" {
		t.emit(set, 2)
		return nil
	}
	switch {
	case '1' <= c && c <= '9' && !inClass, c == 'g', c == 'k':
		return refuse("a back reference (\\%c)", c)
	case strings.IndexByte("KGRXCNHVLlu", c) >= 0:
		return refuse("\\%c%s", c, where(inClass))
	case c == 'e':
		t.emit(`\x1b`, 2)
	case c == 'Z' && !inClass:
		t.emit(`(?:\n?\z)`, 2)
	case c == 'b' && inClass:
		t.emit(`\x08`, 2)
	case c == 'c':
		if len(rest) < 3 || rest[2] < '@' || rest[2] > 'z' {
			return fmt.Errorf("\\c needs a letter after it")
		}
		t.emit(fmt.Sprintf(`\x%02x`, strings.ToUpper(rest[2:3])[0]^0x40), 3)
	case c == 'Q':
		literal, _, closed := strings.Cut(rest[2:], `\E`)
		for i := range len(literal) {
			t.emit(quoteByte(literal[i]), 0)
		}
		t.at += 2 + len(literal)
		if closed {
			t.at += 2
		}
	case c == 'E':
		t.at += 2
	case !isAlnum(c) && c < 0x80:
		t.emit(quoteByte(c), 2)
	default:
		t.emit(rest[:2], 2)
	}
	return nil
}

// perlSet returns the set that \c stands for where package regexp has another one or none: \s has the vertical tab, \h and
// \v are horizontal and vertical blanks. In a list only those that are not negated can be written.
func perlSet(c byte, inClass bool) string {
	set := ""
	switch c {
	case 's', 'S':
		set = `\t\n\v\f\r `
	case 'h', 'H':
		set = `\t \x{a0}`
	case 'v', 'V':
		set = `\n\v\f\r\x{85}`
	case 'N':
		set = `\n`
	}
	negated := 'A' <= c && c <= 'Z'
	switch {
	case set == "" || negated && inClass:
		return ""
	case inClass:
		return set
	case negated:
		return "[^" + set + "]"
	}
	return "[" + set + "]"
}

func where(inClass bool) string {
	if inClass {
		return " in [...]"
	}
	return ""
}

func quoteByte(c byte) string {
	if c < 0x80 && !isAlnum(c) {
		return fmt.Sprintf(`\x%02x`, c)
	}
	return string([]byte{c})
}
