package obs

import (
	"fmt"
	"log/slog"
	"strings"
)

// screened writes what postscreen, and of DNS lists dnsblog, would.
func (m *maillog) screened(e Screened) {
	say := func(format string, args ...any) { m.line("postfix/postscreen", m.session(e.Peer), format, args...) }
	from := screenClient(e.Peer)
	switch e.What {
	case ScreenListed:
		m.line("postfix/dnsblog", m.session(e.Peer), "addr %s listed by domain %s as %s", e.Addr.Addr().Unmap().WithZone(""), word(e.Text), e.Code)
	case ScreenDNSBL:
		say("DNSBL rank %d for %s", e.Count, from)
	case ScreenPregreet:
		say("PREGREET %d after %s from %s: %s", e.Count, seconds(e.After), from, escaped(e.Text))
	case ScreenHangup:
		say("HANGUP after %s from %s in %s", seconds(e.After), from, clean(e.Text))
	case ScreenPipelining, ScreenCommand:
		say("%s from %s after %s: %s", e.What, from, word(e.Command), escaped(e.Text))
	case ScreenNewline:
		say("%s from %s after %s", e.What, from, word(e.Command))
	case ScreenGreylisted: // postscreen has no such word; the refusal itself is smtpd's line
	default:
		say("%s %s", e.What, from)
	}
}

// screenClient writes "[address]:port".
func screenClient(p Peer) string {
	return fmt.Sprintf("[%s]:%d", p.Addr.Addr().Unmap().WithZone(""), p.Addr.Port())
}

// escaped writes what a client said with its line ends visible, as postscreen does.
func escaped(s string) string {
	s = s[:min(len(s), 100)]
	return clean(strings.NewReplacer("\\", `\\`, "\r", `\r`, "\n", `\n`, "\t", `\t`).Replace(strings.ToValidUTF8(s, "?")))
}

func (a *attrs) screened(e Screened) {
	a.str(KeyFound, string(e.What))
	a.peer(e.Peer)
	if e.After > 0 {
		a.seconds(KeyDuration, e.After)
	}
	if e.Count != 0 {
		*a = append(*a, slog.Int(KeyCount, e.Count))
	}
	a.str(KeyCommand, e.Command)
	a.str(KeyText, e.Text)
	if e.Code.IsValid() {
		a.str(KeyReply, e.Code.String())
	}
}
