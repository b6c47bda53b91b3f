package route

import (
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// Programs are the names of transports that give mail to a program, [pipes.NAME].
type Programs map[string]bool

// Way is a transport as settings name it, with its next hop: the two sides of "transport:nexthop".
type Way struct {
	Name    string // smtp, relay, lmtp, local, virtual, error, retry, discard, or one of Programs
	NextHop string
}

// ParseWay reads "transport:nexthop"; each side may be empty.
func ParseWay(s string) Way {
	name, hop, _ := strings.Cut(strings.TrimSpace(s), ":")
	return Way{strings.TrimSpace(name), strings.TrimSpace(hop)}
}

// String writes it again.
func (w Way) String() string { return w.Name + ":" + w.NextHop }

// CheckWay tells what is wrong with a setting that names a transport.
func CheckWay(s string, programs Programs) error {
	if s == "" {
		return nil
	}
	w := ParseWay(s)
	if w.NextHop == "" && (w.Name == "smtp" || w.Name == "relay" || w.Name == "lmtp") {
		return nil // the recipient's domain
	}
	_, _, err := w.plan("domain.example", programs)
	return err
}

// CheckFilter tells what is wrong with a setting that sends mail through a filter after the queue.
func CheckFilter(s string, programs Programs) error {
	if t := ParseWay(s).Name; t == "local" || t == "virtual" {
		return fmt.Errorf("%q delivers to mailboxes, no filter would see the mail; expected is smtp: or lmtp: with a next hop, or a transport of [pipes]", t)
	}
	return CheckWay(s, programs)
}

// plan is the transport and next hop of a job for a recipient of a domain.
func (w Way) plan(domain string, programs Programs) (flow.Transport, string, error) {
	switch w.Name {
	case "local", "virtual":
		return flow.Mailbox, "", nil
	case "error":
		return flow.Error, reason(w.NextHop, status.Permanent), nil
	case "retry":
		return flow.Error, reason(w.NextHop, status.Temporary), nil
	case "discard":
		return flow.Drop, w.NextHop, nil
	case "smtp", "relay":
		return hosts(flow.SMTP, w.NextHop, domain)
	case "lmtp":
		return hosts(flow.LMTP, w.NextHop, domain)
	}
	if programs[w.Name] {
		hop := clean(w.NextHop)
		if hop == "" {
			hop = domain
		}
		return flow.Program, flow.ProgramHop(w.Name, hop), nil
	}
	return 0, "", fmt.Errorf("unknown transport %.60q; known are smtp, relay, lmtp, local, virtual, error, retry, discard, and those of [pipes.NAME]", w.Name)
}

func hosts(t flow.Transport, hop, domain string) (flow.Transport, string, error) {
	if hop == "" {
		hop = domain
	}
	list, err := flow.ParseNextHop(t, hop)
	if err != nil {
		return 0, "", err
	}
	words := make([]string, len(list))
	for i, h := range list {
		words[i] = h.String()
	}
	return t, strings.Join(words, ", "), nil
}

// reason writes the reason of a transport that fails on purpose: "5.1.1 text"; without a status, or with one of the other
// class, a general one (error(8), retry(8)).
func reason(text string, class status.Class) string {
	code, rest, ok := status.ParseEnhanced(text)
	if !ok {
		rest, code = text, status.Enhanced{}
	}
	if code.Class != class {
		code = status.Enhanced{Class: class}
		if class == status.Temporary {
			code.Subject = 3
		}
	}
	if rest = strings.TrimSpace(rest); rest == "" {
		rest = "mail is not delivered there"
	}
	return fmt.Sprintf("%s %s", code, clean(rest))
}

// clean makes words of a table fit for a reply.
func clean(s string) string {
	const most = 400
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
