package sink

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// session is one client.
type session struct {
	net.Conn
	server *Server
	r      *bufio.Reader
	out    []byte
	mail   bool
	rcpts  []string
}

const hello = "250-sink.mailbench.invalid\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 536870912"

func (k *session) serve() {
	k.say("220 sink.mailbench.invalid ESMTP")
	for {
		if k.r.Buffered() == 0 && k.flush() != nil { // replies are grouped (RFC 2920 §3.2)
			return
		}
		line, err := k.line()
		if errors.Is(err, bufio.ErrBufferFull) {
			k.say("500 5.5.2 line too long")
			k.flush()
			return
		}
		if err != nil || !k.command(line) {
			k.flush()
			return
		}
	}
}

// command answers one; false ends the session.
func (k *session) command(line []byte) bool {
	verb, rest, _ := strings.Cut(string(line), " ")
	switch strings.ToUpper(verb) {
	case "EHLO", "HELO":
		k.reset()
		k.say(hello)
	case "MAIL":
		k.reset()
		k.mail = true
		k.say("250 2.1.0 sender noted")
	case "RCPT":
		k.rcpt(rest)
	case "DATA":
		return k.data()
	case "RSET":
		k.reset()
		k.say("250 2.0.0 forgotten")
	case "NOOP":
		k.say("250 2.0.0 yes")
	case "VRFY":
		k.say("252 2.1.5 send and see")
	case "QUIT":
		k.say("221 2.0.0 bye")
		return false
	default:
		k.say("502 5.5.1 not here")
	}
	return true
}

func (k *session) reset() { k.mail, k.rcpts = false, k.rcpts[:0] }

// rcpt reads "TO:<address> …"; quotes in it are kept as they are.
func (k *session) rcpt(rest string) {
	open, end := strings.IndexByte(rest, '<'), strings.IndexByte(rest, '>')
	switch {
	case !k.mail:
		k.say("503 5.5.1 MAIL first")
	case open < 0 || end < open:
		k.say("501 5.5.4 no address")
	case len(k.rcpts) >= maxRecipients:
		k.say("452 4.5.3 too many recipients") // RFC 5321 §4.5.3.1.10
	default:
		k.rcpts = append(k.rcpts, rest[open+1:end])
		k.say("250 2.1.5 recipient noted")
	}
}

// data takes a message and tells of it before the reply.
func (k *session) data() bool {
	if len(k.rcpts) == 0 {
		k.say("503 5.5.1 no recipients")
		return true
	}
	k.say("354 go on")
	if k.flush() != nil {
		return false
	}
	var b body
	for octets := 0; ; {
		line, err := k.line()
		long := errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !long {
			return false
		}
		if octets += len(line) + 2; long || octets > maxMessage {
			k.say("552 5.3.4 too long")
			return false
		}
		if string(line) == "." {
			break
		}
		b.add(bytes.TrimPrefix(line, []byte("."))) // RFC 5321 §4.5.2
	}
	if k.server.delay > 0 {
		time.Sleep(k.server.delay)
	}
	k.server.arrived(Arrival{Stamp: b.stamp, Intact: b.intact(), Recipients: append([]string(nil), k.rcpts...), At: time.Now()})
	k.reset()
	k.say("250 2.0.0 thrown away")
	return true
}

// line reads one without its end, good until the next.
func (k *session) line() ([]byte, error) {
	if k.r.Buffered() == 0 {
		if err := k.SetDeadline(time.Now().Add(idleTimeout)); err != nil {
			return nil, err
		}
	}
	line, err := k.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

func (k *session) say(text string) { k.out = fmt.Appendf(k.out, "%s\r\n", text) }

func (k *session) flush() error {
	if len(k.out) == 0 {
		return nil
	}
	_, err := k.Write(k.out)
	k.out = k.out[:0]
	return err
}
