package ldaptab

import (
	"errors"
	"net/url"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// quoteDN writes a string as a value in a distinguished name, RFC 4514 §2.4.
func quoteDN(s string) string {
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		c := s[i]
		edge := c == ' ' && (i == 0 || i == len(s)-1) || c == '#' && i == 0
		if edge || c < ' ' || strings.IndexByte(`,+"\<>;=`, c) >= 0 {
			out.Write([]byte{'\\', hex[c>>4], hex[c&15]})
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

type ldapURL struct {
	base, filter string
	scope        int
	attributes   []string
}

// parseURL reads an LDAP URL, RFC 4516; ok is false for what is none (a DN). Its host is not looked at: the server that
// named it is asked.
func parseURL(s string) (u ldapURL, ok bool, err error) {
	scheme, rest, ok := strings.Cut(s, "://")
	switch strings.ToLower(scheme) {
	case "ldap", "ldaps", "ldapi":
	default:
		return u, false, nil
	}
	if !ok {
		return u, false, nil
	}
	u = ldapURL{scope: ldap.ScopeBaseObject, filter: "(objectClass=*)"}
	_, path, _ := strings.Cut(rest, "/")
	for i, part := range strings.Split(path, "?") {
		text, err := url.PathUnescape(part)
		if err != nil {
			return u, true, errors.New("an LDAP URL in the directory cannot be read: " + s)
		}
		switch {
		case i == 0:
			u.base = text
		case text == "":
		case i == 1:
			u.attributes = strings.Split(text, ",")
		case i == 2:
			scope, known := map[string]int{"base": ldap.ScopeBaseObject, "one": ldap.ScopeSingleLevel, "sub": ldap.ScopeWholeSubtree}[strings.ToLower(text)]
			if !known {
				return u, true, errors.New("an LDAP URL in the directory has an unknown scope: " + s)
			}
			u.scope = scope
		case i == 3:
			if u.filter = text; !strings.HasPrefix(text, "(") {
				u.filter = "(" + text + ")"
			}
		}
	}
	return u, true, nil
}
