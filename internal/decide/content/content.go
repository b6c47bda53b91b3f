// Package content is header_checks(5) and body_checks: each logical line of a message's headers and each line of its body is
// looked up in tables, mostly of patterns, whose answers are actions. It is a gate that judges messages.
//
// As in Postfix: header_checks for the fields of the message, but for those of MIME; mime_header_checks for these and for the
// headers of parts; nested_header_checks for the headers of attached messages; body_checks for all other lines, boundaries
// too, up to a limit for each part. A field is one line with its folds in it (a line feed and a blank); a line of the body is
// looked up in pieces of 2048 bytes. What a table leaves in is not looked up again.
//
// The message is read once, in pieces: memory does not grow with it. It is copied only from the first change of its body on.
//
// Failures: a table that cannot be asked is a temporary failure. An action that is none is logged and passed over.
//
//	content.go  the gate
//	action.go   actions
//	fields.go   the message's own header
//	body.go     the rest, line by line
//	outgoing.go smtp_header_checks
package content

import (
	"context"
	"log/slog"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/status"
)

// Checks are the tables.
type Checks struct {
	Header, MIME, Nested, Body table.List
	BodyLimit                  int64 // bytes of each part that Body is asked about
	Log                        *slog.Logger
}

var _ gate.Gate = (*Checks)(nil)

// Empty tells whether there is nothing to ask.
func (c *Checks) Empty() bool { return len(c.Header)+len(c.MIME)+len(c.Nested)+len(c.Body) == 0 }

// Connect begins a session.
func (c *Checks) Connect(context.Context, *gate.Conn) (gate.Session, error) {
	return &session{checks: c}, nil
}

type session struct {
	gate.Open
	checks *Checks
}

// Message judges.
func (s *session) Message(ctx context.Context, tx *gate.Transaction, m *gate.Message) error {
	if s.checks.Empty() || tx.Changes.Pass {
		return nil
	}
	if err := m.Complete(); err != nil {
		return err
	}
	x := &examination{Checks: s.checks, ctx: ctx, tx: tx, m: m}
	if err := x.fields(); err != nil || x.over {
		return err
	}
	return x.body()
}

// Added judges a field that a filter adds (milter_header_checks): it returns the field as it shall be, empty: not at all.
func (c *Checks) Added(ctx context.Context, tx *gate.Transaction, field string) (string, error) {
	x := &examination{Checks: c, ctx: ctx, tx: tx}
	v, err := x.look("milter_header_checks", c.Header, field)
	switch {
	case err != nil:
		return "", err
	case v.drop:
		return "", nil
	case v.replace != "":
		return v.replace, nil
	}
	return field, nil
}

// examination is that of one message.
type examination struct {
	*Checks
	ctx  context.Context
	tx   *gate.Transaction
	m    *gate.Message
	over bool // PASS or DISCARD: nothing more is looked at
	// leaving: the message is on its way out; only its lines can change.
	leaving bool
}

// verdict is what becomes of a line. The zero one: it stays.
type verdict struct {
	drop    bool
	replace string
	prepend string
}

// look asks about a line and does what concerns the whole message.
func (x *examination) look(setting string, tables table.List, line string) (v verdict, err error) {
	value, found, err := tables.Lookup(x.ctx, line, false)
	if err != nil {
		return v, status.Temp(451, 3, 5, "Server configuration error").With(setting, err)
	}
	if !found {
		return v, nil
	}
	return x.obey(setting, value, line)
}
