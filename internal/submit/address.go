package submit

import (
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
)

// ParseAddress reads an address as a user of this host writes it: without a domain it is one of domain's.
func ParseAddress(s, domain string) (address.Address, error) {
	if strings.Contains(s, "@") {
		a, err := address.Parse(s, true)
		if err == nil || !strings.HasPrefix(s, `"`) {
			return a, err
		}
	}
	a, err := address.New(unquote(s), domain)
	if err != nil {
		return address.Address{}, err
	}
	return address.Parse(a.String(), true) // what is no path is no address
}

// unquote takes the quotes off a local part.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
