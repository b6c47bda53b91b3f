package main

import (
	"context"
	"encoding/json"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/admin"
)

// uids are what a word is taken for as a set of UIDs (RFC 9051 §9, sequence-set).
var uids = regexp.MustCompile(`^[0-9*]+(:[0-9*]+)?(,[0-9*]+(:[0-9*]+)?)*$`)

// criteria makes IMAP's search text of the words of a command line. Nothing but numbers means UIDs. A single word is taken
// as it is, so that all can stand in one pair of the shell's quotes; of several, those that IMAP would have in quotes get
// them. exact: it names messages that must be there.
func criteria(words []string) (text string, exact bool, err error) {
	if len(words) == 0 {
		return "", false, usagef("say which messages: UIDs, or search words such as: unseen from bob; ALL for all")
	}
	numbers := true
	for _, w := range words {
		numbers = numbers && uids.MatchString(w)
	}
	if numbers {
		return "UID " + strings.Join(words, ","), true, nil
	}
	if len(words) == 1 {
		return words[0], false, nil
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " "), false, nil
}

// quote puts a word into IMAP's quotes where it needs them: not a set, not one in quotes, not what belongs to parentheses.
func quote(w string) string {
	switch {
	case uids.MatchString(w), len(w) > 1 && w[0] == '"' && w[len(w)-1] == '"':
		return w
	case strings.HasPrefix(w, "("), strings.HasSuffix(w, ")") && !strings.ContainsAny(w, " ("):
		return w
	case w != "" && !strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\`, r) }):
		return w
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}

func (w mailWhere) query(which mailWhich) (q admin.MailQuery, exact bool, err error) {
	q = admin.MailQuery{Account: w.Account, Mailbox: w.Mailbox}
	q.Criteria, exact, err = criteria(which.Criteria)
	return q, exact, err
}

func (c mailSearchCmd) Run(a *app) error {
	q, _, err := c.query(c.mailWhich)
	if err != nil {
		return err
	}
	if c.All {
		q.Mailbox = ""
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		out := a.newFindings(searchFields())
		if err := api.SearchMail(ctx, q, func(f admin.Found) error { return out.add(f, nil) }); err != nil {
			return err
		}
		return out.end()
	})
}

// field is a column of what is known of messages.
type field struct {
	name  string // as for --fields; its head in upper case
	right bool
	text  func(f *admin.Found) string // for people
	value func(f *admin.Found) any    // for programs
}

// fields are what --fields takes.
func fields() []field {
	text := func(get func(*admin.Found) string) (func(*admin.Found) string, func(*admin.Found) any) {
		return get, func(f *admin.Found) any { return get(f) }
	}
	of := func(name string, get func(*admin.Found) string) field {
		t, v := text(get)
		return field{name: name, text: t, value: v}
	}
	return []field{
		of("mailbox", func(f *admin.Found) string { return f.Mailbox }),
		{"uid", true, func(f *admin.Found) string { return strconv.FormatUint(uint64(f.UID), 10) }, func(f *admin.Found) any { return f.UID }},
		{"received", false, func(f *admin.Found) string { return shortTime(f.Received) }, func(f *admin.Found) any { return f.Received }},
		{"saved", false, func(f *admin.Found) string { return shortTime(f.Saved) }, func(f *admin.Found) any { return f.Saved }},
		{"date", false, func(f *admin.Found) string { return shortTime(f.Date) }, func(f *admin.Found) any { return f.Date }},
		{"size", true, func(f *admin.Found) string { return shortSize(f.Size) }, func(f *admin.Found) any { return f.Size }},
		{"flags", false, func(f *admin.Found) string { return dash(strings.Join(f.Flags, " ")) }, func(f *admin.Found) any { return f.Flags }},
		of("from", func(f *admin.Found) string { return f.From }),
		of("to", func(f *admin.Found) string { return f.To }),
		of("cc", func(f *admin.Found) string { return f.Cc }),
		of("subject", func(f *admin.Found) string { return f.Subject }),
		of("message-id", func(f *admin.Found) string { return f.MessageID }),
	}
}

// searchFields are those of a search.
func searchFields() (list []field) {
	for _, f := range fields() {
		switch f.name {
		case "mailbox", "uid", "received", "size", "flags", "from", "subject":
			list = append(list, f)
		}
	}
	return list
}

// findings writes messages as they come: as an array of JSON, or as tables of so many lines each.
type findings struct {
	app    *app
	w      io.Writer
	fields []field
	table  *table
	n      int
}

const (
	findingsTable = 1000 // lines behind which the heads are repeated
	findingsClip  = 60   // characters of a column
)

func (a *app) newFindings(list []field) *findings {
	return &findings{app: a, w: a.stdout, fields: list}
}

// add writes a message. extra are further values, by name, for JSON; for people they are in the fields' text.
func (o *findings) add(f admin.Found, extra map[string]any) error {
	o.n++
	if o.app.flags.JSON {
		return o.addJSON(f, extra)
	}
	if o.table == nil {
		heads := make([]string, len(o.fields))
		for i, c := range o.fields {
			if heads[i] = strings.ToUpper(c.name); c.right {
				heads[i] = ">" + heads[i]
			}
		}
		o.table = newTable(heads...)
	}
	cells := make([]string, len(o.fields))
	for i, c := range o.fields {
		if c.text == nil {
			text, _ := extra[c.name].(string)
			cells[i] = clip(text, findingsClip)
			continue
		}
		cells[i] = clip(c.text(&f), findingsClip)
	}
	o.table.row(cells...)
	if len(o.table.rows) == findingsTable {
		o.table.write(o.app, o.w, "")
		o.table = nil
	}
	return nil
}

func (o *findings) addJSON(f admin.Found, extra map[string]any) error {
	sep := ",\n"
	if o.n == 1 {
		sep = "[\n"
	}
	var value any = f
	if extra != nil {
		value = extra
	}
	if _, err := io.WriteString(o.w, sep); err != nil {
		return err
	}
	b, err := json.MarshalIndent(value, "  ", "  ")
	if err != nil {
		return err
	}
	_, err = o.w.Write(append([]byte("  "), b...))
	return err
}

// end writes what is left.
func (o *findings) end() (err error) {
	switch {
	case o.app.flags.JSON && o.n == 0:
		_, err = io.WriteString(o.w, "[]\n")
	case o.app.flags.JSON:
		_, err = io.WriteString(o.w, "\n]\n")
	case o.n == 0:
		_, err = io.WriteString(o.w, "No messages.\n")
	case o.table != nil:
		o.table.write(o.app, o.w, "")
	}
	return err
}
