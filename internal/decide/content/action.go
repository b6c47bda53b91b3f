package content

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

const shown = 60 // bytes of a line that the log shows

// obey does what an action asks for. Action names are in any case.
func (x *examination) obey(setting, action, line string) (v verdict, err error) {
	name, text, _ := strings.Cut(strings.TrimSpace(action), " ")
	name, text = strings.ToUpper(name), strings.TrimSpace(text)
	x.tx.Conn.Tell(gate.AtMessage, setting, name+" "+text)
	c := &x.tx.Changes
	switch name {
	case "PASS", "DISCARD", "HOLD", "REJECT", "BCC", "REDIRECT", "FILTER":
		if x.leaving {
			return v, x.wrong(setting, action)
		}
	}
	switch name {
	case "DUNNO", "OK":
	case "IGNORE":
		v.drop = true
	case "STRIP":
		x.tell("strip", setting, text, line)
		v.drop = true
	case "INFO", "WARN":
		x.tell(strings.ToLower(name), setting, text, line)
	case "PASS":
		x.tell("pass", setting, text, line)
		c.Pass, x.over = true, true
	case "DISCARD":
		x.tell("discard", setting, text, line)
		c.Discard, x.over = or(text, setting), true
	case "HOLD":
		x.tell("hold", setting, text, line)
		c.Hold = or(text, setting)
	case "REJECT":
		return v, x.reject(setting, text, line)
	case "REPLACE", "PREPEND":
		if text == "" || setting != body && !isField(text) {
			return v, x.wrong(setting, action)
		}
		if name == "REPLACE" {
			v.replace = text
		} else {
			v.prepend = text
		}
	case "BCC", "REDIRECT":
		a, err := address.Parse(text, true)
		if err != nil {
			return v, x.wrong(setting, action)
		}
		if name == "REDIRECT" {
			c.Redirect = a
		} else if len(c.BCC) < maxBCC && !slices.Contains(c.BCC, a) {
			c.BCC = append(c.BCC, a)
		}
	case "FILTER":
		if !strings.Contains(text, ":") {
			return v, x.wrong(setting, action)
		}
		c.Filter = text
	default:
		return v, x.wrong(setting, action)
	}
	return v, nil
}

const (
	body   = "body_checks"
	maxBCC = 1000
)

// reject is Postfix's reply: the text may begin with codes of its own.
func (x *examination) reject(setting, text, line string) error {
	x.tell("reject", setting, text, line)
	e := status.Perm(550, 7, 1, "message content rejected")
	code := ""
	if len(text) >= 3 && (text[0] == '4' || text[0] == '5') && (len(text) == 3 || text[3] == ' ') && digits(text[1:3]) {
		code, text = text[:3], strings.TrimSpace(text[3:])
	}
	enhanced, rest, has := status.ParseEnhanced(text)
	if has && enhanced.Class != status.Success {
		text = rest
		if enhanced.Class == status.Temporary {
			e = status.Temp(450, enhanced.Subject, enhanced.Detail, e.Public)
		} else {
			e = status.Perm(550, enhanced.Subject, enhanced.Detail, e.Public)
		}
	}
	if code != "" && int(code[0]-'0') == int(e.Class) {
		e.Code = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	}
	if text != "" {
		e.Public = plain(text)
	}
	return e.With(setting, nil)
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// tell writes a line of the log, as cleanup(8) does.
func (x *examination) tell(what, setting, text, line string) {
	x.Log.Info(what, obs.KeyComponent, "checks", obs.KeyQueueID, x.tx.ID.String(), "setting", setting, "text", text, "line", plain(clip(line)))
}

// wrong passes over an action that is none, with a word in the log.
func (x *examination) wrong(setting, action string) error {
	x.Log.Warn("an action that cannot be done; it is passed over", obs.KeyComponent, "checks", "setting", setting, "action", plain(clip(action)))
	return nil
}

// isField tells whether a text begins with a field's name and a colon (RFC 5322 §3.6.8).
func isField(s string) bool {
	name, _, ok := strings.Cut(s, ":")
	return ok && name != "" && strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

func clip(s string) string { return fmt.Sprintf("%.*s", shown, s) }

// plain makes one line for logs and replies.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return plain(s)
}
