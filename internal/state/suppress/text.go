package suppress

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
)

// maxLine bounds a line of a list as text, in bytes.
const maxLine = 4096

// Columns are the columns of a list as text: comma-separated values (RFC 4180, one line each), the names in the first line.
func Columns() []string {
	return []string{"owner", "address", "reason", "class", "since", "until", "detail"}
}

// Row is an entry as a line of Columns.
func (e *Entry) Row() []string {
	until := ""
	if !e.Until.IsZero() {
		until = e.Until.UTC().Format(time.RFC3339)
	}
	return []string{e.Owner, e.Address, e.Reason, e.Class, e.Since.UTC().Format(time.RFC3339), until, e.Detail}
}

// Reader reads lists: as Row writes them, with other columns among them, or addresses alone, one a line.
type Reader struct {
	in      *bufio.Reader
	columns []string
	line    int
}

// NewReader reads a list from r.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(r, maxLine)} }

// Next returns the next entry, or io.EOF. Of what is missing Reason is Operator, and the times are zero.
func (r *Reader) Next() (Entry, error) {
	for {
		line, err := r.in.ReadSlice('\n')
		if r.line++; errors.Is(err, bufio.ErrBufferFull) {
			return Entry{}, fmt.Errorf("line %d has more than %d bytes", r.line, maxLine)
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			return Entry{}, err
		}
		text := strings.TrimSpace(strings.TrimPrefix(string(line), "\ufeff"))
		if text == "" || text[0] == '#' {
			continue
		}
		c := csv.NewReader(strings.NewReader(text))
		c.LazyQuotes = strings.HasPrefix(text, "\"") && r.columns == nil // a quoted local part, in a list of addresses
		fields, err := c.Read()
		if err != nil {
			return Entry{}, fmt.Errorf("line %d: %w", r.line, err)
		}
		if r.columns == nil {
			if r.columns = header(fields); r.columns[0] != first {
				continue
			}
		}
		if r.columns[0] == first {
			fields = []string{text}
			if a, _, ok := strings.Cut(text, ","); ok && text[0] != '"' {
				fields[0] = a
			}
		}
		e, err := r.entry(fields)
		if err != nil {
			return Entry{}, fmt.Errorf("line %d: %w", r.line, err)
		}
		return e, nil
	}
}

// first is the column of a list of addresses alone.
const first = "address alone"

// header is the columns that a first line names.
func header(fields []string) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		if names[i] = strings.ToLower(strings.TrimSpace(f)); names[i] == "email" || names[i] == "recipient" {
			names[i] = "address"
		}
	}
	if slices.Contains(names, "address") {
		return names
	}
	return []string{first}
}

func (r *Reader) entry(fields []string) (e Entry, err error) {
	e.Reason = Operator
	for i, f := range fields {
		if f = strings.TrimSpace(f); i >= len(r.columns) || f == "" {
			continue
		}
		switch r.columns[i] {
		case "address", first:
			e.Address, err = ParseKey(f)
		case "owner":
			e.Owner, err = ParseKey(f)
		case "reason":
			e.Reason = f
			if f != Bounce && f != Complaint && f != Operator {
				err = fmt.Errorf("reason %.40q is none of %s, %s, %s", f, Bounce, Complaint, Operator)
			}
		case "class":
			e.Class = Clip(f)
		case "detail":
			e.Detail = Clip(f)
		case "since":
			e.Since, err = parseTime(f)
		case "until":
			e.Until, err = parseTime(f)
		}
		if err != nil {
			return e, err
		}
	}
	if e.Address == "" {
		return e, errors.New("no address")
	}
	return e, nil
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Unix() <= 0 {
		return t, fmt.Errorf("%.40q is not a time such as 2026-11-22T15:00:00Z", s)
	}
	return t.UTC().Truncate(time.Second), nil
}

// ParseKey reads an address or "@domain" as the lists have it.
func ParseKey(s string) (string, error) {
	if domain, ok := strings.CutPrefix(s, "@"); ok {
		a, err := address.Parse("x@"+domain, true)
		if err != nil {
			return "", err
		}
		return Domain(a.Domain), nil
	}
	a, err := address.Parse(s, true)
	if err != nil {
		return "", fmt.Errorf("%.80q: %w", s, err)
	}
	if a.Domain == "" {
		return "", fmt.Errorf("%.80q has no domain", s)
	}
	return Key(a), nil
}
