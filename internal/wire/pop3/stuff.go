package pop3

import (
	"bufio"
	"bytes"
)

// everything is the number of lines for a stuffer without a limit.
const everything = -1

// stuffer writes a message as the lines of a multi-line response (RFC 1939 §3): each ends in CR LF, one that begins with a
// dot gets another dot, and a dot alone ends it all. A message whose lines all end in CR LF loses and gains nothing else.
type stuffer struct {
	w     *bufio.Writer
	lines int  // of the body that are wanted; everything: no limit
	done  bool // nothing more is wanted

	inLine bool // the last byte was not an LF
	last   byte // that byte
	filled bool // the line has something besides its end
	body   bool // the header is over
}

// write writes the next piece of the message. An error is the connection's.
func (s *stuffer) write(p []byte) error {
	from := 0 // p[from:i] is not written yet
	for i := 0; i < len(p) && !s.done; {
		if !s.inLine && p[i] == '.' {
			if err := s.put(p[from:i], "."); err != nil {
				return err
			}
			from = i
		}
		j := bytes.IndexByte(p[i:], '\n')
		if j < 0 {
			s.filled = s.filled || s.inLine || len(p)-i > 1 || p[i] != '\r'
			s.inLine, s.last = true, p[len(p)-1]
			break
		}
		end := i + j // of the LF
		switch {
		case j > 0:
			s.filled = s.filled || s.inLine || j > 1 || p[i] != '\r'
			s.last = p[end-1]
		case !s.inLine:
			s.last = 0
		}
		if s.last != '\r' {
			if err := s.put(p[from:end], "\r\n"); err != nil {
				return err
			}
			from = end + 1
		}
		i = end + 1
		s.newLine()
		if s.done {
			p = p[:i]
		}
	}
	return s.put(p[from:], "")
}

// newLine takes note of a line's end.
func (s *stuffer) newLine() {
	switch {
	case s.body && s.lines > 0:
		s.lines--
	case !s.filled:
		s.body = true
	}
	s.done = s.body && s.lines == 0
	s.inLine, s.filled = false, false
}

func (s *stuffer) put(p []byte, then string) error {
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	_, err := s.w.WriteString(then)
	return err
}

// end ends the last line, if the message did not, and the response.
func (s *stuffer) end() error {
	switch {
	case s.inLine && s.last == '\r':
		return s.put(nil, "\n.\r\n")
	case s.inLine:
		return s.put(nil, "\r\n.\r\n")
	}
	return s.put(nil, ".\r\n")
}
