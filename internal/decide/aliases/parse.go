package aliases

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/address"
)

// parseAddress reads a destination that is an address: user, user@domain, "Name <user@domain>", \user. plain is true for the
// last: the user himself, whatever aliases say.
func parseAddress(text, origin string) (a address.Address, plain bool, err error) {
	text = strings.TrimSpace(text)
	if i := strings.LastIndexByte(text, '<'); i >= 0 && strings.HasSuffix(text, ">") {
		text = strings.TrimSpace(text[i+1 : len(text)-1])
	}
	if rest, ok := strings.CutPrefix(text, `\`); ok {
		text, plain = rest, true
	}
	if len(text) > maxAddress {
		return a, plain, fmt.Errorf("an address of %d bytes", len(text))
	}
	if !strings.Contains(text, "@") || strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) {
		text += "@" + origin
	}
	a, err = address.Parse(text, true)
	return a, plain, err
}

// maxAddress is more than RFC 5321 §4.5.3.1 allows an address to have.
const maxAddress = 512

// controls tells a text that cannot be part of an envelope or of a command line.
func controls(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
