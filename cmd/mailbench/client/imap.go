package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Bounds on what a server may send.
const (
	maxText    = 64 << 20 // of one answer without literals: a SEARCH that finds millions
	maxLiteral = 1 << 30
)

// IMAP is one connection.
type IMAP struct {
	link
	caps string // in capitals, with spaces around
	tag  int
	line []byte // of the answer that is being read
}

// DialIMAP connects and reads the greeting; nobody is logged in yet.
func DialIMAP(ctx context.Context, t Target) (*IMAP, error) {
	l, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	m := &IMAP{link: *l}
	if err := m.greet(&t); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *IMAP) greet(t *Target) error {
	a, err := m.read()
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if !bytes.HasPrefix(m.line, []byte("* OK")) {
		return &Refused{"greeting", string(m.line)}
	}
	m.capabilities(a.Text)
	if !t.StartTLS {
		return nil
	}
	if _, err := m.Do("STARTTLS", nil); err != nil {
		return err
	}
	m.caps = "" // what was said before the handshake is forgotten (RFC 9051 §6.2.1)
	return m.startTLS(t.TLS)
}

// capabilities takes the list from a response code or an answer, if there is one.
func (m *IMAP) capabilities(text []byte) {
	s := strings.ToUpper(string(text))
	if _, rest, ok := strings.Cut(s, "[CAPABILITY "); ok {
		s, _, _ = strings.Cut(rest, "]")
	} else if s, ok = strings.CutPrefix(s, "CAPABILITY "); !ok {
		return
	}
	m.caps = " " + s + " "
}

// Can tells whether the server has a capability; it is asked if it has not said so by itself.
func (m *IMAP) Can(name string) (bool, error) {
	if m.caps == "" {
		if _, err := m.Do("CAPABILITY", nil); err != nil {
			return false, err
		}
	}
	return strings.Contains(m.caps, " "+name+" "), nil
}

// Login logs in with LOGIN.
func (m *IMAP) Login(user, password string) error {
	m.caps = "" // they change with the login
	text, err := m.Do("LOGIN "+Quote(user)+" "+Quote(password), nil)
	if err == nil {
		m.capabilities([]byte(text))
	}
	return err
}

// Quote writes a string; a character that no quoted string may have makes it a wrong command, which the server refuses.
func Quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// Do sends a command and reads until it is completed. each, if not nil, gets every untagged answer; an error of it ends
// the reading. The text after OK is returned; NO and BAD are a *Refused.
func (m *IMAP) Do(command string, each func(Answer) error) (string, error) {
	if err := m.Send(command); err != nil {
		return "", err
	}
	return m.Finish(command, each)
}

// Send sends a command without waiting for anything.
func (m *IMAP) Send(command string) error {
	if err := m.extend(); err != nil {
		return err
	}
	m.begin(command)
	m.out = append(m.out, "\r\n"...)
	return m.flush()
}

// begin writes tag and command into the buffer.
func (m *IMAP) begin(command string) {
	m.tag++
	m.out = strconv.AppendInt(append(m.out, 'b'), int64(m.tag), 10)
	m.out = append(append(m.out, ' '), command...)
}

// Finish reads the answers to the command that was sent last.
func (m *IMAP) Finish(command string, each func(Answer) error) (string, error) {
	for {
		a, err := m.read()
		if err != nil {
			return "", fmt.Errorf("%s: %w", verb(command), err)
		}
		switch m.line[0] {
		case '*':
			if word, _ := a.Word(); Is(word, "BYE") && verb(command) != "LOGOUT" {
				return "", fmt.Errorf("%s: the server closes the connection: %q", verb(command), clip(string(a.Text)))
			}
			m.capabilities2(a)
			if each != nil {
				if err := each(a); err != nil {
					return "", fmt.Errorf("%s: %w", verb(command), err)
				}
			}
		case '+':
			return "", fmt.Errorf("%s: the server asks for more, which there is not: %q", verb(command), clip(string(m.line)))
		default:
			return m.completed(command)
		}
	}
}

// capabilities2 notes an untagged CAPABILITY.
func (m *IMAP) capabilities2(a Answer) {
	if len(a.Text) > 10 && (a.Text[0] == 'C' || a.Text[0] == 'c') {
		m.capabilities(a.Text)
	}
}

func (m *IMAP) completed(command string) (string, error) {
	tag, rest, _ := bytes.Cut(m.line, []byte(" "))
	if string(tag) != "b"+strconv.Itoa(m.tag) {
		return "", fmt.Errorf("%s: an answer with a tag that was never sent: %q", verb(command), clip(string(m.line)))
	}
	word, text, _ := bytes.Cut(rest, []byte(" "))
	if !Is(word, "OK") {
		return "", &Refused{verb(command), string(rest)}
	}
	return string(text), nil
}

// Continue waits until the server asks for more (RFC 9051 §7.6). Untagged answers before that are passed over.
func (m *IMAP) Continue(command string) error {
	for {
		a, err := m.read()
		if err != nil {
			return fmt.Errorf("%s: %w", verb(command), err)
		}
		switch {
		case m.line[0] == '+':
			return nil
		case m.line[0] != '*':
			return &Refused{verb(command), string(m.line)}
		}
		if word, _ := a.Word(); Is(word, "BYE") {
			return &Refused{verb(command), string(a.Text)}
		}
	}
}

// Await reads one untagged answer, of a server that sends without being asked.
func (m *IMAP) Await() (Answer, error) {
	a, err := m.read()
	if err == nil && m.line[0] != '*' {
		err = fmt.Errorf("not an untagged answer: %q", clip(string(m.line)))
	}
	return a, err
}

// Extend lets the connection wait longer than a command may take.
func (m *IMAP) Extend(more time.Duration) error {
	return m.SetDeadline(time.Now().Add(m.timeout + more))
}

// Done ends IDLE (RFC 2177).
func (m *IMAP) Done(each func(Answer) error) error {
	if err := m.extend(); err != nil {
		return err
	}
	if _, err := m.Write([]byte("DONE\r\n")); err != nil {
		return err
	}
	_, err := m.Finish("IDLE", each)
	return err
}

// Logout says goodbye and closes.
func (m *IMAP) Logout() error {
	_, err := m.Do("LOGOUT", nil)
	return errors.Join(err, m.Close())
}

// read reads one answer with its literals. The line stays in m.line.
func (m *IMAP) read() (Answer, error) {
	m.line = m.line[:0]
	var a Answer
	for {
		begin := len(m.line)
		if err := m.readLine(); err != nil {
			return a, err
		}
		n, is, err := literalSize(m.line[begin:])
		if err != nil {
			return a, err
		}
		if !is {
			break
		}
		if _, err := m.r.Discard(int(n)); err != nil {
			return a, err
		}
		a.Octets += n
	}
	if len(m.line) == 0 {
		return a, errors.New("an empty line where an answer should be")
	}
	a.Text = bytes.TrimPrefix(m.line, []byte("* "))
	return a, nil
}

// readLine adds the next line, without CRLF, to m.line.
func (m *IMAP) readLine() error {
	for {
		part, err := m.r.ReadSlice('\n')
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if len(m.line)+len(part) > maxText {
			return errors.New("an endless line")
		}
		m.line = append(m.line, part...)
		switch {
		case err == nil:
			m.line = m.line[:len(m.line)-1]
			if n := len(m.line); n > 0 && m.line[n-1] == '\r' {
				m.line = m.line[:n-1]
			}
			return nil
		case !errors.Is(err, errFull):
			return err
		}
	}
}

// verb is what a command is called in an error: never its arguments, which may be a password.
func verb(command string) string {
	v, rest, _ := strings.Cut(command, " ")
	if v == "UID" {
		w, _, _ := strings.Cut(rest, " ")
		return v + " " + w
	}
	return v
}
