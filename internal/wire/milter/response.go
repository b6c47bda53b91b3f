package milter

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/mail/status"
)

// Verdict is a filter's answer to an event.
type Verdict byte

// The verdicts.
const (
	Continue Verdict = 'c'
	Accept   Verdict = 'a' // no more events: of this message, or, before MAIL, of the connection
	Discard  Verdict = 'd'
	Reject   Verdict = 'r'
	TempFail Verdict = 't'
	Reply    Verdict = 'y' // refuses with words of its own
	Skip     Verdict = 's' // no more of this kind: body, headers, recipients
	Shutdown Verdict = '4' // 421
	ConnFail Verdict = 'f' // drop the connection
)

// Response is an answer.
type Response struct {
	Verdict Verdict
	Err     *status.Error // of a refusal: what the client is told
}

// The texts are Postfix's, which administrators know.
var (
	errReject   = status.Perm(550, 7, 1, "Command rejected")
	errTempFail = status.Temp(451, 7, 1, "Service unavailable - try again later")
	errShutdown = status.Temp(421, 7, 0, "Server closing connection")
)

// parseResponse reads an answer to an event; ok is false for what is none: a modification, or a sign of life.
func parseResponse(p packet) (r Response, ok bool, err error) {
	r.Verdict = Verdict(p.code)
	switch r.Verdict {
	case Continue, Accept, Discard, Skip:
		return r, true, nil
	case Reject:
		r.Err = errReject
	case TempFail:
		r.Err = errTempFail
	case Shutdown, ConnFail:
		r.Err = errShutdown
	case Reply:
		line, _, terminated := cut(p.data)
		if !terminated {
			line = string(p.data) // some forget it
		}
		if r.Err, ok = parseReply(line); !ok {
			return r, false, fmt.Errorf("%w: reply %.80q", ErrProtocol, line)
		}
	default:
		return r, false, nil
	}
	return r, true, nil
}

const maxReply = 2000 // bytes of a reply's text that are kept

// parseReply reads "550 5.7.1 text", or several such lines.
func parseReply(s string) (*status.Error, bool) {
	var e *status.Error
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(s, "\r\n"), "\n") {
		line = strings.TrimRight(line, "\r")
		if len(line) < 3 || line[0] != '4' && line[0] != '5' || line[1] < '0' || line[1] > '9' || line[2] < '0' || line[2] > '9' {
			return nil, false
		}
		code := int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
		if len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return nil, false
		}
		rest := line[min(4, len(line)):]
		enhanced, words, has := status.ParseEnhanced(rest)
		if has && enhanced.Class == status.Class(code/100) {
			rest = words
		} else {
			enhanced = status.Enhanced{Class: status.Class(code / 100)}
			enhanced.Subject, enhanced.Detail = 7, 1
		}
		if e == nil {
			e = &status.Error{Class: enhanced.Class, Code: code, Enhanced: enhanced}
		} else if code != e.Code {
			return nil, false
		}
		lines = append(lines, clean(rest))
	}
	e.Public = strings.Join(lines, "\n")
	if len(e.Public) > maxReply {
		e.Public = strings.ToValidUTF8(e.Public[:maxReply], "")
	}
	return e, true
}

// clean makes a filter's words fit for a reply. Sendmail's replies have doubled percent signs.
func clean(s string) string {
	s = strings.ReplaceAll(s, "%%", "%")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}

// Modification is one change that a filter wants.
type Modification struct {
	Kind  byte   // as in the protocol, see below
	Name  string // of a header field; or the address
	Value string // of a header field; the address's parameters; why a message is held
	Index uint32 // of a header field
	Body  []byte // a piece of the new body
}

// The kinds of modifications.
const (
	ModAddHeader    = 'h'
	ModInsertHeader = 'i'
	ModChangeHeader = 'm'
	ModFrom         = 'e'
	ModAddRcpt      = '+'
	ModAddRcptPar   = '2'
	ModDeleteRcpt   = '-'
	ModBody         = 'b'
	ModQuarantine   = 'q'
)

const progress = 'p'

// parseModification reads one. What the filter did not say it would do it may not do.
func parseModification(p packet, allowed Actions) (m Modification, err error) {
	m.Kind = p.code
	need, data, ok := Actions(0), p.data, true
	switch p.code {
	case ModAddHeader:
		need = AddHeaders
	case ModInsertHeader, ModChangeHeader:
		if need = ChangeHeaders; p.code == ModInsertHeader {
			need = AddHeaders
		}
		if ok = len(data) >= 4; ok {
			m.Index, data = binary.BigEndian.Uint32(data), data[4:]
		}
	case ModFrom:
		need = ChangeFrom
	case ModAddRcpt:
		need = AddRcpt
	case ModAddRcptPar:
		need = AddRcptParams
	case ModDeleteRcpt:
		need = DeleteRcpt
	case ModQuarantine:
		need = Quarantine
	case ModBody:
		m.Body, need = p.data, ChangeBody
	default:
		return m, fmt.Errorf("%w: answer %q", ErrProtocol, p.code)
	}
	if allowed&need == 0 {
		return m, fmt.Errorf("%w: modification %q, which was not negotiated", ErrProtocol, p.code)
	}
	switch p.code {
	case ModBody:
		return m, nil
	case ModAddHeader, ModInsertHeader, ModChangeHeader:
		if ok {
			m.Name, data, ok = cut(data)
		}
		if ok {
			m.Value, _, ok = cut(data)
		}
		ok = ok && m.Name != ""
	case ModQuarantine:
		m.Value, _, ok = cut(data)
	default:
		if m.Name, data, ok = cut(data); ok {
			m.Value, _, _ = cut(data) // may be missing
		}
	}
	if !ok {
		return m, fmt.Errorf("%w: modification %q is cut off", ErrProtocol, p.code)
	}
	return m, nil
}
