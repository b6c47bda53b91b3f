package smtp

import (
	"context"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail/flow"
)

// maxForward bounds the length of one XFORWARD command (RFC 5321 §4.5.3.1.4).
const maxForward = 500

// Forward tells a content filter by XFORWARD whose the next message is (Postfix's XFORWARD_README), as far as the server
// offers to listen. A refusal of the server's is an error; the connection is still good then.
func (c *Client) Forward(ctx context.Context, client flow.Client, ident string) error {
	offered, ok := c.ext["XFORWARD"]
	if !ok {
		return nil
	}
	a := client.Addr.Addr().Unmap().WithZone("")
	values := map[string]string{"NAME": client.Name, "HELO": client.Helo, "IDENT": ident, "SOURCE": "REMOTE", "PROTO": protocol(client.Protocol)}
	switch {
	case !a.IsValid():
		values["SOURCE"], values["NAME"], values["ADDR"] = "LOCAL", "localhost", "127.0.0.1"
	case a.Is6():
		values["ADDR"] = "IPV6:" + a.String()
	default:
		values["ADDR"] = a.String()
	}
	if p := client.Addr.Port(); p != 0 {
		values["PORT"] = strconv.Itoa(int(p))
	}
	line := ""
	for _, name := range strings.Fields(strings.ToUpper(offered)) {
		value := values[name]
		if value == "" {
			value = "[UNAVAILABLE]"
		}
		word := " " + name + "=" + encodeXtext(value)
		if len(line)+len(word) > maxForward && line != "" {
			if err := c.expectOK(ctx, PhaseMail, "XFORWARD"+line); err != nil {
				return err
			}
			line = ""
		}
		if strings.Contains(" "+xforwardNames+" ", " "+name+" ") && len(word) <= maxForward {
			line += word
		}
	}
	if line == "" {
		return nil
	}
	return c.expectOK(ctx, PhaseMail, "XFORWARD"+line)
}

// protocol is SMTP or ESMTP, all that XFORWARD knows.
func protocol(with string) string {
	if strings.Contains(with, "ESMTP") || strings.Contains(with, "UTF8") {
		return "ESMTP"
	}
	return "SMTP"
}
