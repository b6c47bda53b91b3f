package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
)

// readMessage reads standard input to its end, or to a line with a dot, before anything is sent: so the server need not
// wait for a slow program, and the message can be handed over twice.
func (a *app) readMessage(o *sendmailOptions) (*spool, error) {
	s := &spool{}
	w := &lines{w: s, dots: !o.ignoreDots}
	_, err := io.Copy(w, a.stdin)
	if errors.Is(err, errDot) {
		err = nil
	}
	if err == nil {
		err = w.close()
	}
	if err != nil {
		s.close()
		return nil, withCode(exitTemporary, "read the message: %w", err)
	}
	return s, nil
}

// errDot says that the line with the dot came.
var errDot = errors.New("end of message")

// lines passes on a message but for what programs put around it: the "From " line of a mailbox file at the beginning, and
// the line with a dot that ends it.
type lines struct {
	w     io.Writer
	dots  bool   // a line with a dot ends the message
	begun bool   // the first line that is not "From " has come
	held  []byte // the beginning of a line that may be such
	skip  bool   // the rest of the line is dropped
	mid   bool   // inside a line that is passed on
}

func (l *lines) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n') + 1
		piece := p[:max(end, 0)]
		if end == 0 {
			piece = p
		}
		p = p[len(piece):]
		if err := l.piece(piece, end > 0); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// maxHeld is as much of a line as must be seen: ">From " or ".\r\n".
const maxHeld = 6

// piece takes some of a line, or its end.
func (l *lines) piece(b []byte, whole bool) error {
	if l.skip {
		l.skip = !whole
		return nil
	}
	if l.mid {
		l.mid = !whole
		_, err := l.w.Write(b)
		return err
	}
	l.held = append(l.held, b...)
	if !whole && len(l.held) < maxHeld {
		return nil
	}
	line := l.held
	l.held = nil
	if !l.begun && (bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))) {
		l.skip = !whole
		return nil
	}
	l.begun = true
	if text := bytes.TrimRight(line, "\r\n"); whole && l.dots && len(text) == 1 && text[0] == '.' {
		return errDot
	}
	l.mid = !whole
	_, err := l.w.Write(line)
	return err
}

func (l *lines) close() error {
	line := l.held
	l.held = nil
	if len(line) == 0 || l.dots && string(line) == "." {
		return nil
	}
	_, err := l.w.Write(line)
	return err
}

// spool holds a message: in memory, or in a file that has no name when it is large.
type spool struct {
	memory []byte
	file   *os.File
	size   int64
}

// spoolMemory is how much is held in memory.
const spoolMemory = 1 << 20

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.memory)+len(p) > spoolMemory {
		f, err := os.CreateTemp("", "sendmail-*")
		if err != nil {
			return 0, err
		}
		s.file = f
		if err := os.Remove(f.Name()); err != nil {
			return 0, err
		}
		if _, err := f.Write(s.memory); err != nil {
			return 0, err
		}
	}
	s.size += int64(len(p))
	if s.file == nil {
		s.memory = append(s.memory, p...)
		return len(p), nil
	}
	if room := spoolMemory - len(s.memory); room > 0 { // the header is looked at
		s.memory = append(s.memory, p[:min(room, len(p))]...)
	}
	return s.file.Write(p)
}

// start is the beginning of the message, long enough for its header.
func (s *spool) start() []byte { return s.memory }

// reader reads the message from the beginning.
func (s *spool) reader() (io.Reader, error) {
	if s.file == nil {
		return bytes.NewReader(s.memory), nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the message again: %w", err)
	}
	return bufio.NewReader(s.file), nil
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close() // it has no name, and nobody reads it
	}
}

// extractRecipients finds the recipients in the header at the start of a message: in Resent-To, Resent-Cc and Resent-Bcc
// where one of them is there (RFC 5322 §3.6.6), else in To, Cc and Bcc.
func extractRecipients(start []byte) ([]string, error) {
	h, err := header.Parse(start, mime.MaxTopHeader)
	if err != nil {
		return nil, withCode(exitData, "the message's header is longer than %d bytes", mime.MaxTopHeader)
	}
	var first, resent []string
	for _, f := range h.Fields {
		if f.NameEnd == f.Start {
			break // the first line that is no field ends the header, as for the server
		}
		to := &first
		switch {
		case h.Is(f, "To"), h.Is(f, "Cc"), h.Is(f, "Bcc"):
		case h.Is(f, "Resent-To"), h.Is(f, "Resent-Cc"), h.Is(f, "Resent-Bcc"):
			to = &resent
		default:
			continue
		}
		list, more := header.ParseList(h.Value(f), maxOperand)
		if more {
			return nil, withCode(exitData, "more than %d addresses in one field", maxOperand)
		}
		for _, m := range list {
			if m.Kind == header.Individual && m.Local != "" {
				*to = append(*to, addressText(m))
			}
		}
	}
	if len(resent) > 0 {
		return resent, nil
	}
	return first, nil
}
