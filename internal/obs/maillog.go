package obs

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// maillog writes lines in the traditional form of syslog:
//
//	Nov 22 01:02:03 host program[pid]: text
//
// Every part that a stranger can choose (names, addresses, replies) passes clean or cleanAngle, so that nobody can forge
// a line or the address in one: fail2ban acts on them.
type maillog struct {
	level slog.Leveler
	host  string
	pid   int
	now   func() time.Time

	mu  sync.Mutex // guards buf and out
	buf bytes.Buffer
	out io.Writer
}

func newMaillog(o Options, level slog.Leveler) *maillog {
	host, _, _ := strings.Cut(o.Hostname, ".")
	if host == "" {
		host = "localhost"
	}
	return &maillog{level: level, host: clean(host), pid: o.PID, now: o.Now, out: o.Out}
}

// line writes one line for program; the text must be clean.
func (m *maillog) line(program string, pid int, format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.buf.Reset()
	fmt.Fprintf(&m.buf, "%s %s %s[%d]: ", m.now().Format(time.Stamp), m.host, program, pid)
	fmt.Fprintf(&m.buf, format, args...)
	m.buf.WriteByte('\n')
	_, _ = m.out.Write(m.buf.Bytes()) // a log that cannot be written must not stop mail
}

// Emit writes an outcome. Outcomes are written at every level but error: whoever chooses this format wants them counted.
func (m *maillog) Emit(e Event) {
	if m.level.Level() > slog.LevelWarn {
		return
	}
	if p, ok := peerOf(e); ok && isReader(p.Service) {
		m.dovecot(e)
		return
	}
	m.postfix(e)
}

// peerOf returns the client that an event is about, if it is about one.
func peerOf(e Event) (Peer, bool) {
	switch e := e.(type) {
	case Connect:
		return e.Peer, true
	case Disconnect:
		return e.Peer, true
	case Accepted:
		return e.Peer, true
	case Judged:
		return e.Peer, true
	case Rejected:
		return e.Peer, true
	case Screened:
		return e.Peer, true
	case AuthFailed:
		return e.Peer, true
	case Login:
		return e.Peer, true
	case Logout:
		return e.Peer, true
	}
	return Peer{}, false
}

// isReader tells the services that Dovecot offers beside a Postfix.
func isReader(service string) bool {
	switch service {
	case "imap", "imaps", "pop3", "pop3s", "managesieve":
		return true
	}
	return false
}

// session returns a number for a connection that stands where Postfix has a process id: pflogsumm pairs connect and
// disconnect by it.
func (m *maillog) session(p Peer) int {
	if p.Session == "" {
		return m.pid
	}
	return int(crc32.ChecksumIEEE([]byte(p.Session))%4194303) + 1
}

// recordHandler writes diagnostics as lines of the program "postrider", which the tools for Postfix pass over.
type recordHandler struct {
	log    *maillog
	prefix string // "group." for keys
	attrs  string // what WithAttrs collected, with a leading space
}

func (h recordHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.log.level.Level() }

func (h recordHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	if r.Level >= slog.LevelWarn {
		b.WriteString(strings.ToLower(r.Level.String()) + ": ")
	}
	b.WriteString(clean(r.Message))
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.prefix, a)
		return true
	})
	h.log.line("postrider", h.log.pid, "%s", b.String())
	return nil
}

func (h recordHandler) WithAttrs(as []slog.Attr) slog.Handler {
	var b strings.Builder
	for _, a := range as {
		appendAttr(&b, h.prefix, a)
	}
	h.attrs += b.String()
	return h
}

func (h recordHandler) WithGroup(name string) slog.Handler {
	if name != "" {
		h.prefix += name + "."
	}
	return h
}

func appendAttr(b *strings.Builder, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, g := range v.Group() {
			appendAttr(b, prefix+a.Key+".", g)
		}
		return
	}
	if a.Key == "" {
		return
	}
	s := clean(v.String())
	if s == "" || strings.ContainsAny(s, " =\"") {
		s = strconv.Quote(s)
	}
	b.WriteString(" " + clean(prefix+a.Key) + "=" + s)
}

// maxText bounds one part of a line.
const maxText = 1000

// clean makes a text fit for a line: what cannot be printed becomes "?", as in Postfix's log.
func clean(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "?") + "..."
	}
	ok := true
	for _, r := range s {
		ok = ok && printable(r)
	}
	if ok {
		return s
	}
	return strings.Map(func(r rune) rune {
		if printable(r) {
			return r
		}
		return '?'
	}, s)
}

func printable(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }

// cleanAngle is clean for what stands in <>: it cannot end that.
func cleanAngle(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '<' || r == '>' {
			return '?'
		}
		return r
	}, clean(s))
}

// word is for what should be a single word of a protocol, such as a mechanism's name: nothing else passes.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (isAlnum(byte(r)) || strings.ContainsRune("-_./+:", r)) {
			return r
		}
		return '?'
	}, s[:min(len(s), 64)])
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
