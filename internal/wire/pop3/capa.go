package pop3

import (
	"context"
	"strings"
)

// capabilities are what CAPA lists (RFC 2449 §5), in both states the same but for STLS.
func (c *conn) capabilities() []string {
	list := []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "UTF8 USER", "LANG"}
	if c.cfg.LoginDelay > 0 {
		list = append(list, "LOGIN-DELAY "+seconds(c.cfg.LoginDelay))
	}
	if c.canStartTLS() {
		list = append(list, "STLS")
	}
	if c.secure {
		if c.hasPlain() {
			list = append(list, "USER")
		}
		if m := c.cfg.SASL.Offered(c.origin()); len(m) > 0 {
			list = append(list, "SASL "+strings.Join(m, " ")) // RFC 5034 §3
		}
	}
	return append(list, "IMPLEMENTATION Postrider") // no version: RFC 2449 §6.9 warns of telling it to strangers
}

func capaCommand(_ context.Context, c *conn, _ []string) error {
	c.ok("Capability list follows")
	for _, s := range c.capabilities() {
		c.text(s)
	}
	c.text(".")
	return nil
}

// utf8Command is UTF8, RFC 6856 §2.1. Messages are sent as they are stored with it and without it: see docs/pop3.md.
func utf8Command(_ context.Context, c *conn, _ []string) error {
	c.ok("UTF8 enabled")
	return nil
}

// langCommand is LANG, RFC 6856 §3. Our texts are English, and i-default (RFC 2277 §4.5) is English too.
func langCommand(_ context.Context, c *conn, args []string) error {
	if len(args) == 0 {
		c.ok("Language listing follows")
		c.text("en English")
		c.text("i-default Default")
		c.text(".")
		return nil
	}
	switch tag := strings.ToLower(args[0]); tag {
	case "en", "i-default":
		c.ok(tag, " Language is English")
	case "*":
		c.ok("i-default Language is English")
	default:
		return &refusal{text: "Only en and i-default are spoken here"}
	}
	return nil
}
