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

// form is what a receiver wants of a message.
type form struct {
	from, returnPath, originalTo, deliveredTo bool // what stands in front of it
	quote, dots                               bool // "From " and "." at the start of lines
	blank                                     bool // a blank line behind it
	crlf                                      bool
}

// localForm is what local(8) writes for commands and files.
func localForm(local aliases.Local) form {
	command := local.Text[0] == '|'
	mbox := !command && !strings.HasSuffix(local.Text, "/")
	return form{from: mbox || command, returnPath: true, originalTo: true, deliveredTo: true, quote: mbox, blank: mbox}
}

// looped tells whether the message has been at an address before: RFC 9228 is how local(8) finds a loop.
func looped(source recipe.Source, job *flow.Job, to address.Address) (bool, error) {
	text, err := io.ReadAll(io.LimitReader(recipe.NewReader(source, job.Message), maxHeader))
	if err != nil {
		return false, err
	}
	h, err := header.Parse(text, maxHeader)
	if err != nil {
		return false, nil // what cannot be read has no field that says so
	}
	return received.DeliveredTo(h, to), nil
}

// written is a message on its way to a receiver.
type written struct {
	source recipe.Source
	dir    string // for files without a name
	job    *flow.Job
	r      *flow.Recipient
	form
}

// write makes a file without a name that holds the message as its receiver wants it, opened for reading.
func (w written) write() (file *os.File, size int64, err error) {
	f, err := os.CreateTemp(w.dir, "message-")
	if err != nil {
		return nil, 0, err
	}
	// Opened a second time for reading only: who gets it must not be able to fill our disk.
	file, err = os.Open(f.Name())
	err = errors.Join(err, os.Remove(f.Name()))
	if err == nil {
		size, err = w.copy(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		if file != nil {
			file.Close()
		}
		return nil, 0, err
	}
	return file, size, nil
}

func (w written) copy(f *os.File) (size int64, err error) {
	l := newLines(f)
	l.quote, l.dots = w.quote, w.dots
	if w.crlf {
		l.eol = "\r\n"
	}
	from := w.job.Sender(w.r)
	for _, line := range []struct {
		wanted bool
		text   string
	}{
		{w.from, "From " + fromLine(from, w.job.Received)}, {w.returnPath, "Return-Path: " + from.Path()},
		{w.originalTo, "X-Original-To: " + w.r.Original.String()}, {w.deliveredTo, "Delivered-To: " + w.r.To.String()},
	} {
		if line.wanted {
			l.raw(line.text + l.eol)
		}
	}
	if _, err := recipe.NewReader(w.source, w.job.Message).WriteTo(l); err != nil {
		return 0, err
	}
	l.end()
	if w.blank {
		l.raw(l.eol)
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

// lines writes a message with other ends of lines, quotes "From " at their start where quote is set, and doubles a "." there
// where dots is.
type lines struct {
	w     *bufio.Writer
	size  int64
	err   error
	eol   string
	quote bool
	dots  bool
	start bool   // of a line
	kept  []byte // a CR, or the beginning of a line that may be "From "
}

func newLines(w io.Writer) *lines {
	return &lines{w: bufio.NewWriterSize(w, 64<<10), start: true, eol: "\n"}
}

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
	if l.start && l.dots && p[0] == '.' {
		l.raw(".")
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
	l.raw(l.eol)
}

// end ends a last line that has no end.
func (l *lines) end() {
	if len(l.kept) > 0 || !l.start {
		l.raw(string(l.kept))
		l.kept = nil
		l.raw(l.eol)
	}
}
