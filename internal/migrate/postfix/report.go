package postfix

import (
	"fmt"
	"io"
	"strings"
)

// Counts are how many lines have which fate.
func (r *Result) Counts() map[Fate]int {
	n := map[Fate]int{}
	for _, l := range r.Lines {
		n[l.Fate]++
	}
	return n
}

// Complete tells that nothing is left for the operator.
func (r *Result) Complete() bool { return r.Counts()[Unsupported] == 0 }

// words are the fates as the report has them.
func (f Fate) words() string {
	switch f {
	case Same:
		return "same as default"
	case Meaningless:
		return "meaningless here"
	}
	return string(f)
}

// String is a line of the report: "main.cf:12 message_size_limit: translated to smtp.max_message_size".
func (l Line) String() string {
	place := l.File
	if place == "" {
		place = "-"
	}
	if l.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, l.Line)
	}
	what := l.Parameter
	if l.Service != "" {
		what = strings.TrimSpace(l.Service + " " + l.Parameter)
	}
	if what != "" {
		what = " " + what
	}
	text := l.Fate.words()
	if l.Fate == Translated {
		text += " to " + strings.Join(l.Keys, ", ")
	}
	if l.Text != "" {
		text += ": " + l.Text
	}
	return comment(place + what + ": " + text)
}

// WriteReport writes every line, then what is left to do.
func (r *Result) WriteReport(w io.Writer) {
	for _, l := range r.Lines {
		fmt.Fprintln(w, l)
	}
	n := r.Counts()
	if n[Unsupported] > 0 {
		fmt.Fprint(w, "\nFor you to see to:\n\n")
	}
	for _, l := range r.Lines {
		if l.Fate == Unsupported {
			fmt.Fprintln(w, l)
		}
	}
	fmt.Fprintf(w, "\n%d translated, %d same as default, %d meaningless here, %d for you to see to\n", n[Translated], n[Same], n[Meaningless], n[Unsupported])
}
