package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
)

// POP3 is one connection.
type POP3 struct{ link }

const maxPOP3Line = 4096 // of an answer's first line and of lists; a message's lines may be longer

// DialPOP3 connects and reads the greeting.
func DialPOP3(ctx context.Context, t Target) (*POP3, error) {
	l, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	p := &POP3{*l}
	_, err = p.answer("greeting")
	if err == nil && t.StartTLS {
		if _, err = p.Do("STLS"); err == nil { // RFC 2595 §4
			err = p.startTLS(t.TLS)
		}
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Login logs in with USER and PASS (RFC 1939 §7).
func (p *POP3) Login(user, password string) error {
	if _, err := p.Do("USER " + user); err != nil {
		return err
	}
	_, err := p.Do("PASS " + password)
	return err
}

// Do sends a command and returns what follows +OK.
func (p *POP3) Do(command string) (string, error) {
	if err := p.extend(); err != nil {
		return "", err
	}
	p.out = append(append(p.out, command...), "\r\n"...)
	if err := p.flush(); err != nil {
		return "", err
	}
	return p.answer(verb(command))
}

func (p *POP3) answer(command string) (string, error) {
	line, err := p.r.ReadSlice('\n')
	if err != nil || len(line) > maxPOP3Line {
		return "", fmt.Errorf("%s: %w", command, orLong(err))
	}
	line = bytes.TrimRight(line, "\r\n")
	text, ok := bytes.CutPrefix(line, []byte("+OK"))
	if !ok {
		return "", &Refused{command, string(line)}
	}
	return string(bytes.TrimPrefix(text, []byte(" "))), nil
}

func orLong(err error) error {
	if err == nil || errors.Is(err, errFull) {
		return errors.New("an endless line")
	}
	return err
}

// Stat returns the number of messages and their octets (RFC 1939 §5).
func (p *POP3) Stat() (messages, octets int64, err error) {
	text, err := p.Do("STAT")
	if err != nil {
		return 0, 0, err
	}
	if n, err := fmt.Sscanf(text, "%d %d", &messages, &octets); n != 2 || messages < 0 {
		return 0, 0, fmt.Errorf("STAT answers %q: %w", clip(text), err)
	}
	return messages, octets, nil
}

// List sends LIST or UIDL and calls each for the lines "number value".
func (p *POP3) List(command string, each func(n int64, value []byte) error) error {
	if _, err := p.Do(command); err != nil {
		return err
	}
	for {
		line, err := p.r.ReadSlice('\n')
		if err != nil || len(line) > maxPOP3Line {
			return fmt.Errorf("%s: %w", command, orLong(err))
		}
		line = bytes.TrimRight(line, "\r\n")
		if string(line) == "." {
			return nil
		}
		first, value, _ := bytes.Cut(line, []byte(" "))
		n, err := strconv.ParseInt(string(first), 10, 64)
		if err != nil {
			return fmt.Errorf("%s: a line %q", command, clip(string(line)))
		}
		if err := each(n, value); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
}

// Retrieve reads a message and returns its octets, as LIST counts them: without the dots that were put in and the final
// one (RFC 1939 §3).
func (p *POP3) Retrieve(n int64) (octets int64, err error) {
	if _, err := p.Do("RETR " + strconv.FormatInt(n, 10)); err != nil {
		return 0, err
	}
	for begins := true; ; {
		part, err := p.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, errFull) {
			return octets, fmt.Errorf("RETR: %w", err)
		}
		if begins && len(part) > 0 && part[0] == '.' {
			if string(part) == ".\r\n" {
				return octets, nil
			}
			part = part[1:]
		}
		if octets += int64(len(part)); octets > maxLiteral {
			return octets, errors.New("RETR: an endless message")
		}
		begins = err == nil
	}
}

// Quit ends the session and closes.
func (p *POP3) Quit() error {
	_, err := p.Do("QUIT")
	return errors.Join(err, p.Close())
}
