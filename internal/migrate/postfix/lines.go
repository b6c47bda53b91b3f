package postfix

import (
	"fmt"
	"strings"
)

// Bounds of what is read. A real main.cf has some hundred lines.
const (
	maxFile     = 4 << 20 // bytes of main.cf, of master.cf, and of what a list names as "/file"
	maxLine     = 1 << 20 // bytes of a logical line
	maxSettings = 20000   // settings of main.cf
	maxServices = 1000    // of master.cf
)

// blanks part words; a newline cannot occur in a logical line.
const blanks = " \t\r\v\f"

// Setting is one "name = value" of main.cf, or of an -o of master.cf.
type Setting struct {
	Name, Value string // the value as it stands, continuation lines joined
	Line        int    // of its first physical line, from 1
}

// Problem is a line that could not be understood.
type Problem struct {
	Line int
	Text string
}

// logical is a line with those that continue it.
type logical struct {
	line int
	text string
}

// logicalLines joins continuation lines: those that begin with a blank. Empty lines and comments are passed over, in the
// middle of a continued line too.
func logicalLines(text string) (out []logical, bad []Problem) {
	var more strings.Builder // what continues the last line
	finish := func() {
		if more.Len() > 0 {
			out[len(out)-1].text += more.String()
			more.Reset()
		}
	}
	for n := 1; text != ""; n++ {
		var one string
		one, text, _ = strings.Cut(text, "\n")
		trimmed := strings.TrimLeft(one, blanks)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if strings.IndexByte(one, 0) >= 0 {
			bad = append(bad, Problem{n, "a NUL byte: this is no text"})
			continue
		}
		if len(trimmed) == len(one) {
			finish()
			out = append(out, logical{n, one})
			continue
		}
		if len(out) == 0 {
			bad = append(bad, Problem{n, "begins with a blank, so it continues the line before, but there is none"})
			continue
		}
		if len(out[len(out)-1].text)+more.Len()+len(one) > maxLine {
			bad = append(bad, Problem{n, "the line that this one continues is longer than 1 MiB"})
			continue
		}
		more.WriteString(one)
	}
	finish()
	return out, bad
}

// ParseMain reads the text of a main.cf. What cannot be understood is named and passed over; Postfix would not start.
func ParseMain(text string) (settings []Setting, bad []Problem) {
	lines, bad := logicalLines(text)
	for _, l := range lines {
		if len(settings) == maxSettings {
			return settings, append(bad, Problem{l.line, fmt.Sprintf("more than %d settings", maxSettings)})
		}
		name, value, err := nameValue(l.text)
		if err != nil {
			bad = append(bad, Problem{l.line, err.Error()})
			continue
		}
		settings = append(settings, Setting{name, value, l.line})
	}
	return settings, bad
}

// nameValue splits "name = value".
func nameValue(s string) (name, value string, err error) {
	s = strings.Trim(s, blanks)
	end := strings.IndexAny(s, blanks+"=")
	if end == 0 {
		return "", "", fmt.Errorf("no name before the = in %q", clip(s))
	}
	if end < 0 {
		return "", "", fmt.Errorf("no = after the name in %q", clip(s))
	}
	value, ok := strings.CutPrefix(strings.TrimLeft(s[end:], blanks), "=")
	if !ok {
		return "", "", fmt.Errorf("no = after the name in %q", clip(s))
	}
	return s[:end], strings.Trim(value, blanks), nil
}

// clip keeps messages short.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
