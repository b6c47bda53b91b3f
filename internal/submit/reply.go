package submit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail/status"
)

// Later is the server's word that it cannot take the message now, for reasons of its own: it goes down, the queue or the
// disk is full. The drop folder may take it.
type Later struct{ Text string }

func (e *Later) Error() string { return e.Text }

const goAhead = "go"

// reply is the server's final line for an outcome.
func reply(id string, err error) string {
	if err == nil {
		return "queued " + id
	}
	e := status.Of(err)
	text := oneLine(e.Public)
	if isOurs(e) {
		return "later " + text
	}
	return fmt.Sprintf("refused %d %s %s", e.Code, e.Enhanced, text)
}

// isOurs tells failures of the server from refusals of the message: mail system status, RFC 3463 §3.4.
func isOurs(e *status.Error) bool { return e.Class == status.Temporary && e.Enhanced.Subject == 3 }

// oneLine makes a text fit into the line: at most 900 bytes, no line ends, never empty.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	if len(s) > 900 {
		s = strings.ToValidUTF8(s[:900], "")
	}
	if s = strings.TrimSpace(s); s == "" {
		return "no reason given"
	}
	return s
}

// parseReply reads a final line.
func parseReply(line string) (id string, err error) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "queued":
		if rest != "" {
			return rest, nil
		}
	case "later":
		return "", &Later{rest}
	case "refused":
		code, rest, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(code)
		enhanced, text, ok := status.ParseEnhanced(rest)
		if err != nil || !ok {
			break
		}
		if enhanced.Class == status.Temporary {
			return "", status.Temp(n, enhanced.Subject, enhanced.Detail, text)
		}
		return "", status.Perm(n, enhanced.Subject, enhanced.Detail, text)
	}
	return "", fmt.Errorf("%w: it said %s", ErrNoServer, shown(line))
}
