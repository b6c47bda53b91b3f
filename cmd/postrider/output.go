package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/config"
)

// show writes a result: as JSON where that is wanted, else as text for people.
func (a *app) show(value any, text func(w io.Writer)) error {
	w := bufio.NewWriter(a.stdout)
	if a.flags.JSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(value); err != nil {
			return err
		}
	} else {
		text(w)
	}
	return w.Flush()
}

// done tells that a change was made.
func (a *app) done(value any, format string, args ...any) error {
	return a.show(value, func(w io.Writer) { fmt.Fprintln(w, printable(fmt.Sprintf(format, args...))) })
}

// table is text in columns. A column whose head begins with ">" is aligned to the right.
type table struct {
	heads []string
	right []bool
	rows  [][]string
}

func newTable(heads ...string) *table {
	t := &table{}
	for _, h := range heads {
		name, right := strings.CutPrefix(h, ">")
		t.heads, t.right = append(t.heads, name), append(t.right, right)
	}
	return t
}

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// write prints the table; without rows it says what is missing.
func (t *table) write(a *app, w io.Writer, none string) {
	if len(t.rows) == 0 {
		fmt.Fprintln(w, none)
		return
	}
	widths := make([]int, len(t.heads))
	for _, row := range append([][]string{t.heads}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(row []string) string {
		var b strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				b.WriteString("  ")
			}
			if t.right[i] {
				b.WriteString(gap + cell)
			} else {
				b.WriteString(cell + gap)
			}
		}
		return strings.TrimRight(b.String(), " ")
	}
	fmt.Fprintln(w, a.bold(line(t.heads)))
	for _, row := range t.rows {
		fmt.Fprintln(w, line(row))
	}
}

// facts prints names with values, one to a line.
func (a *app) facts(w io.Writer, pairs ...string) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		width = max(width, len(pairs[i]))
	}
	for i := 0; i < len(pairs); i += 2 {
		value := printable(pairs[i+1])
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(w, "%s  %s\n", a.bold(pairs[i]+strings.Repeat(" ", width-len(pairs[i]))), value)
	}
}

func shortTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// shortSize is a size as people read it: three digits and a unit.
func shortSize(n int64) string {
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for f >= 1000 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if u == 0 || f >= 100 {
		return fmt.Sprintf("%.0f %s", f, units[u])
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

func quotaText(n int64) string {
	if n == 0 {
		return "none"
	}
	return config.Size(n).String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
