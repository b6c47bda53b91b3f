package mapconf

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/table"
)

// Bounds of a file.
const (
	maxText   = 1 << 20 // bytes
	maxValues = 1000
)

// File is the text of such a file, while it is being read: each parameter is asked for, then Done tells what was wrong.
type File struct {
	values map[string]value
	bad    []table.Problem
	errs   []error
	known  []string
}

type value struct {
	text string
	line int
}

// Parse reads a file's text.
func Parse(text string) *File {
	f := &File{values: map[string]value{}}
	if len(text) > maxText {
		f.errs = append(f.errs, fmt.Errorf("longer than %d bytes: is this the right file?", maxText))
		return f
	}
	var logical string
	start, n := 0, 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimRight(line, " \t\r\f\v")
		switch {
		case line == "" || strings.TrimLeft(line, " \t")[0] == '#':
			continue // also between a line and what continues it
		case line[0] == ' ' || line[0] == '\t':
			if start > 0 {
				logical += " " + strings.TrimLeft(line, " \t")
			} else {
				f.bad = append(f.bad, table.Problem{Line: n, Text: "continues nothing: a parameter begins in the first column"})
			}
			continue
		}
		f.set(logical, start)
		logical, start = line, n
	}
	f.set(logical, start)
	return f
}

// set takes one logical line.
func (f *File) set(line string, n int) {
	if line == "" {
		return
	}
	name, text, ok := strings.Cut(line, "=")
	name, text = strings.TrimSpace(name), strings.TrimSpace(text)
	switch old, twice := f.values[name]; {
	case !ok || name == "" || strings.ContainsAny(name, " \t"):
		f.errs = append(f.errs, fmt.Errorf("line %d: expected is \"name = value\"", n))
		return
	case len(f.values) >= maxValues:
		return
	case twice:
		f.bad = append(f.bad, table.Problem{Line: n, Text: fmt.Sprintf("%s is in line %d already; the later one holds", name, old.line)})
	}
	f.values[name] = value{text, n}
}

// Line is where a parameter that is not empty stands; 0: nowhere.
func (f *File) Line(name string) int {
	if v := f.values[name]; v.text != "" {
		return v.line
	}
	return 0
}

// Has tells whether a parameter has a value that is not empty.
func (f *File) Has(name string) bool { return f.values[name].text != "" }

// Text is the value of a parameter.
func (f *File) Text(name, otherwise string) string {
	f.known = append(f.known, name)
	if v, ok := f.values[name]; ok {
		return v.text
	}
	return otherwise
}

// Words is a parameter that is a list, separated by blanks and commas.
func (f *File) Words(name, otherwise string) []string {
	return strings.FieldsFunc(f.Text(name, otherwise), func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })
}

// Required is a parameter that must be there.
func (f *File) Required(name string) string {
	text := f.Text(name, "")
	if text == "" {
		f.errs = append(f.errs, fmt.Errorf("the parameter %s is missing", name))
	}
	return text
}

// Int is a parameter that is a number.
func (f *File) Int(name string, otherwise, least, most int) int {
	text := f.Text(name, "")
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		f.Wrong(name, "expected is a number from %d to %d", least, most)
		return otherwise
	}
	return n
}

// Bool is a parameter that is yes or no.
func (f *File) Bool(name string, otherwise bool) bool {
	text := f.Text(name, "")
	switch strings.ToLower(text) {
	case "":
		return otherwise
	case "yes", "true":
		return true
	case "no", "false":
		return false
	}
	f.Wrong(name, "expected is yes or no")
	return otherwise
}

// Enum is a parameter that is one of some words.
func (f *File) Enum(name, otherwise string, words ...string) string {
	text := f.Text(name, otherwise)
	if !slices.Contains(words, text) {
		f.Wrong(name, "expected is one of %s", strings.Join(words, ", "))
		return otherwise
	}
	return text
}

// Duration is a parameter that is a time: seconds, or with a unit s, m, h, d, w.
func (f *File) Duration(name string, otherwise time.Duration) time.Duration {
	text := f.Text(name, "")
	if text == "" {
		return otherwise
	}
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	unit, digits := time.Second, text
	if u, ok := units[text[len(text)-1]]; ok {
		unit, digits = u, text[:len(text)-1]
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > 100_000_000 || unit > time.Second && n > 10_000 {
		f.Wrong(name, "expected is a time, as in 10s or 1m")
		return otherwise
	}
	return time.Duration(n) * unit
}

// Ignore takes parameters of Postfix's that mean nothing here.
func (f *File) Ignore(names ...string) { f.known = append(f.known, names...) }

// Refuse takes parameters that would mean something and cannot be obeyed; one that is set is an error with the reason.
func (f *File) Refuse(reason string, names ...string) {
	for _, name := range names {
		if f.Text(name, "") != "" {
			f.Wrong(name, "%s", reason)
		}
	}
}

// Doubt notes that the value of a parameter can be used, and should not be.
func (f *File) Doubt(name, text string) {
	f.bad = append(f.bad, table.Problem{Line: f.Line(name), Text: name + ": " + text})
}

// Wrong notes that the value of a parameter cannot be used.
func (f *File) Wrong(name, format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if v, ok := f.values[name]; ok {
		f.errs = append(f.errs, fmt.Errorf("line %d: %s = %s: %s", v.line, name, shown(name, v.text), reason))
		return
	}
	f.errs = append(f.errs, fmt.Errorf("%s: %s", name, reason))
}

// shown is a value in a message: passwords are not.
func shown(name, text string) string {
	if strings.Contains(name, "pass") || strings.HasSuffix(name, "_pw") {
		return "…"
	}
	return Redacted(text)
}

// The places of passwords in a URI: behind the user, and in its query.
var (
	userinfo  = regexp.MustCompile(`(://[^/?#\s:]*):\S*@`)
	parameter = regexp.MustCompile(`(?i)(password=)[^&\s]*`)
)

// Redacted is a word such as postgresql://user:password@host without its password.
func Redacted(text string) string {
	return parameter.ReplaceAllString(userinfo.ReplaceAllString(text, "$1:…@"), "$1…")
}

// Done ends the reading: parameters that nobody asked for are problems, with the name that may have been meant.
func (f *File) Done() ([]table.Problem, error) {
	for name, v := range f.values {
		if slices.Contains(f.known, name) {
			continue
		}
		text := fmt.Sprintf("there is no parameter %q for this type of table", name)
		if near := config.Nearest(name, f.known); near != "" {
			text += fmt.Sprintf("; is %s meant?", near)
		}
		f.bad = append(f.bad, table.Problem{Line: v.line, Text: text})
	}
	slices.SortFunc(f.bad, func(a, b table.Problem) int { return a.Line - b.Line })
	if len(f.errs) > 0 { // the wrong name often is why something is missing
		for _, p := range f.bad {
			f.errs = append(f.errs, errors.New(p.String()))
		}
	}
	return f.bad, errors.Join(f.errs...)
}
