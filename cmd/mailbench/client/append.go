package client

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
)

var errFull = bufio.ErrBufferFull

// Message is one to APPEND.
type Message struct {
	Flags string // "" or as in "\Seen \Flagged"
	Bytes []byte
}

// Append stores messages with one command (RFC 9051 §6.3.12); more than one needs MULTIAPPEND (RFC 3502). Literals do
// not wait for the server where it has LITERAL+ (RFC 7888).
func (m *IMAP) Append(mailbox string, messages ...Message) error {
	plus, err := m.Can("LITERAL+")
	if err == nil {
		err = m.extend()
	}
	if err != nil {
		return err
	}
	m.begin("APPEND " + Quote(mailbox))
	for _, msg := range messages {
		if msg.Flags != "" {
			m.out = append(append(append(m.out, " ("...), msg.Flags...), ')')
		}
		m.out = strconv.AppendInt(append(m.out, " {"...), int64(len(msg.Bytes)), 10)
		if plus {
			m.out = append(m.out, "+}\r\n"...)
		} else {
			m.out = append(m.out, "}\r\n"...)
			if err := m.flush(); err != nil {
				return err
			}
			if err := m.Continue("APPEND"); err != nil {
				return err
			}
		}
		m.out = append(m.out, msg.Bytes...)
		if len(m.out) > maxGather { // RFC 7888 §8: the server reads while we write
			if err := m.flush(); err != nil {
				return err
			}
		}
	}
	m.out = append(m.out, "\r\n"...)
	if err := m.flush(); err != nil {
		return err
	}
	_, err = m.Finish("APPEND", nil)
	return err
}

const maxGather = 256 << 10

// Status returns counts of a mailbox: "MESSAGES", "UNSEEN".
func (m *IMAP) Status(mailbox, item string) (int64, error) {
	found, have := int64(0), false
	_, err := m.Do("STATUS "+Quote(mailbox)+" ("+item+")", func(a Answer) error {
		if word, rest := a.Word(); Is(word, "STATUS") {
			if open := lastList(rest); open != nil {
				found, have = Value(open, item)
			}
		}
		return nil
	})
	if err == nil && !have {
		err = errors.New("STATUS: the answer has no " + item)
	}
	return found, err
}

// lastList returns the last parenthesised list of a line: a mailbox name before it may hold anything.
func lastList(text []byte) []byte {
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '(' {
			return text[i:]
		}
	}
	return nil
}

// Select opens a mailbox and returns how many messages it has.
func (m *IMAP) Select(mailbox string, readOnly bool) (uint32, error) {
	command := "SELECT "
	if readOnly {
		command = "EXAMINE "
	}
	var exists uint32
	have := false
	_, err := m.Do(command+Quote(mailbox), func(a Answer) error {
		if n, word, _, ok := a.Numbered(); ok && Is(word, "EXISTS") {
			exists, have = n, true
		}
		return nil
	})
	if err == nil && !have {
		err = fmt.Errorf("%s: the answer has no EXISTS", verb(command))
	}
	return exists, err
}
