package dnslist

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail/status"
)

// DefaultReply is Postfix's default_rbl_reply.
const DefaultReply = "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}"

// The values of $rbl_class.
const (
	ClassClient    = "Client host"
	ClassHelo      = "Helo command"
	ClassSender    = "Sender address"
	ClassRecipient = "Recipient address"
)

// Reply expands a template and reads what came of it as a reply: a code of 4xx or 5xx, perhaps an enhanced code of its class,
// text. A template whose text is none is answered with code and a text that says no more than that; problem tells why.
func (t *Template) Reply(code int, value func(name string) string) (reply *status.Error, problem error) {
	text := t.Expand(func(name string) string {
		if name == "rbl_code" {
			return strconv.Itoa(code)
		}
		return value(name)
	})
	got, rest, ok := cutCode(text)
	if !ok {
		problem = fmt.Errorf("template %.80q does not begin with a code of 4xx or 5xx, such as $rbl_code", t.text)
		got, rest = code, "Service unavailable"
	}
	build := status.Perm
	if got < 500 {
		build = status.Temp
	}
	subject, detail := uint16(7), uint16(1) // as Postfix has it for all of access control
	if e, after, has := status.ParseEnhanced(rest); has && int(e.Class) == got/100 {
		subject, detail, rest = e.Subject, e.Detail, after
	}
	if rest == "" {
		problem, rest = fmt.Errorf("template %.80q gives no text behind its codes", t.text), "Service unavailable"
	}
	return build(got, subject, detail, rest), problem
}

func cutCode(s string) (code int, rest string, ok bool) {
	if len(s) < 4 || s[3] != ' ' || s[0] != '4' && s[0] != '5' {
		return 0, "", false
	}
	code, err := strconv.Atoi(s[:3])
	rest = strings.TrimSpace(s[4:])
	return code, rest, err == nil && code >= 400 && rest != ""
}
