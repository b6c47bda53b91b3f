package table

import "strings"

// line is a logical line: a physical one with those that continue it.
type line struct {
	number int // of the first physical line, from 1
	text   string
}

// maxLine bounds a logical line, bytes.
const maxLine = 1 << 20

// lines splits a text as Postfix does: empty lines, lines of blanks only and lines whose first character other than a blank
// is # are passed over, also between a line and its continuation; a line that begins with a blank continues the one before.
func lines(text string) (out []line, bad []Problem) {
	var more strings.Builder // what continues the last line, joined once
	end := func() {
		if more.Len() > 0 {
			out[len(out)-1].text += more.String()
			more.Reset()
		}
	}
	for n := 1; text != ""; n++ {
		var one string
		one, text, _ = strings.Cut(text, "\n")
		one = strings.TrimSuffix(one, "\r")
		trimmed := strings.TrimLeft(one, blanks)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if strings.IndexByte(one, 0) >= 0 {
			bad = append(bad, Problem{n, "a NUL byte: this is no text; name the text file, without .db"})
			continue
		}
		if len(trimmed) == len(one) {
			end()
			out = append(out, line{n, one})
			continue
		}
		if len(out) == 0 {
			bad = append(bad, Problem{n, "begins with a blank, so it continues the line before, but there is none"})
			continue
		}
		if len(out[len(out)-1].text)+more.Len()+len(one) > maxLine {
			bad = append(bad, Problem{n, "the line that this one continues has become longer than 1 MiB"})
			continue
		}
		more.WriteString(one)
	}
	end()
	return out, bad
}

// blanks separate.
const blanks = " \t\r\v\f"

// word cuts the first word off s, and the blanks around it.
func word(s string) (first, rest string) {
	s = strings.TrimLeft(s, blanks)
	if i := strings.IndexAny(s, blanks); i >= 0 {
		return s[:i], strings.Trim(s[i:], blanks)
	}
	return s, ""
}
