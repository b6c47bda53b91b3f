package lda

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/decide/aliases"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/received"
	"github.com/postrider/postrider/internal/mail/recipe"
)

// maxHeader bounds what is read in search of Delivered-To, bytes.
const maxHeader = 256 << 10

// looped tells whether the message has been at an address before: RFC 9228 is how local(8) finds a loop.
func (a *Agent) looped(job *flow.Job, to address.Address) (bool, error) {
	text, err := io.ReadAll(io.LimitReader(recipe.NewReader(a.Source, job.Message), maxHeader))
	if err != nil {
		return false, err
	}
	h, err := header.Parse(text, maxHeader)
	if err != nil {
		return false, nil // what cannot be read has no field that says so
	}
	return received.DeliveredTo(h, to), nil
}

// write makes a file without a name that holds the message as its receiver wants it, opened for reading.
func (a *Agent) write(job *flow.Job, r *flow.Recipient, local aliases.Local) (file *os.File, size int64, err error) {
	f, err := os.CreateTemp(a.Dir, "message-")
	if err != nil {
		return nil, 0, err
	}
	// Opened a second time for reading only: who gets it must not be able to fill our disk.
	file, err = os.Open(f.Name())
	err = errors.Join(err, os.Remove(f.Name()))
	if err == nil {
		size, err = a.copy(f, job, r, local)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		if file != nil {
			file.Close()
		}
		return nil, 0, err
	}
	return file, size, nil
}

func (a *Agent) copy(f *os.File, job *flow.Job, r *flow.Recipient, local aliases.Local) (size int64, err error) {
	l := newLines(f)
	mbox := local.Text[0] == '/' && !strings.HasSuffix(local.Text, "/")
	from := job.Sender(r)
	if mbox || local.Text[0] == '|' {
		l.raw("From " + fromLine(from, job.Received) + "\n")
	}
	l.raw("Return-Path: " + from.Path() + "\n")
	l.raw("X-Original-To: " + r.Original.String() + "\n")
	l.raw("Delivered-To: " + r.To.String() + "\n")
	l.quote = mbox
	if _, err := recipe.NewReader(a.Source, job.Message).WriteTo(l); err != nil {
		return 0, err
	}
	l.end()
	if mbox {
		l.raw("\n")
	}
	return l.size, l.flush()
}

// fromLine is what follows "From " in an mbox: the sender without what would end it, and the time as asctime(3) writes it.
func fromLine(from address.Address, at time.Time) string {
	name := strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '-'
		}
		return r
	}, from.String())
	if from.IsZero() {
		name = "MAILER-DAEMON"
	}
	return fmt.Sprintf("%s  %s", name, at.Format(time.ANSIC))
}

// lines writes a message with the system's ends of lines, and quotes "From " at their start where quote is set.
type lines struct {
	w     *bufio.Writer
	size  int64
	err   error
	quote bool
	start bool   // of a line
	kept  []byte // a CR, or the beginning of a line that may be "From "
}

func newLines(w io.Writer) *lines { return &lines{w: bufio.NewWriterSize(w, 64<<10), start: true} }

func (l *lines) flush() error { return errors.Join(l.err, l.w.Flush()) }

func (l *lines) raw(s string) {
	n, err := l.w.WriteString(s)
	l.size += int64(n)
	if l.err == nil {
		l.err = err
	}
}

// Write implements io.Writer. The pieces may be cut anywhere.
func (l *lines) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 && l.err == nil {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.part(p)
			break
		}
		l.part(p[:i])
		l.newline()
		p = p[i+1:]
	}
	return total, l.err
}

// part takes bytes without a line feed.
func (l *lines) part(p []byte) {
	if len(l.kept) > 0 {
		p = append(l.kept, p...)
		l.kept = nil
	}
	if l.start && l.quote {
		if from := []byte("From "); len(p) < len(from) && bytes.HasPrefix(from, p) {
			l.kept = append([]byte(nil), p...)
			return
		} else if bytes.HasPrefix(p, from) {
			l.raw(">")
		}
	}
	if len(p) == 0 {
		return
	}
	l.start = false
	if p[len(p)-1] == '\r' { // perhaps half of the end of a line
		l.kept = []byte{'\r'}
		p = p[:len(p)-1]
	}
	l.raw(string(p))
}

func (l *lines) newline() {
	if kept := bytes.TrimSuffix(l.kept, []byte("\r")); len(kept) > 0 {
		l.raw(string(kept))
	}
	l.kept, l.start = nil, true
	l.raw("\n")
}

// end ends a last line that has no end.
func (l *lines) end() {
	if len(l.kept) > 0 || !l.start {
		l.raw(string(l.kept))
		l.kept = nil
		l.raw("\n")
	}
}
