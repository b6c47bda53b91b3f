package address

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of RFC 5321 §4.5.3.1, in octets.
const (
	// MaxLocal is the limit of a local part that is made here (New). What others send may be longer as long as its path
	// is not: §4.5.3.1 asks not to impose the minima, and VERP and SRS senders pass 64.
	MaxLocal  = 64
	MaxDomain = 255
	MaxPath   = 256 // with angle brackets and source route
)

// New makes the address of a mailbox of our own from its unquoted local part and its domain.
func New(local, domain string) (Address, error) {
	if len(local) > MaxLocal {
		return Address{}, wrong(LocalTooLong, "")
	}
	if local == "" {
		return Address{}, wrong(Syntax, "empty local part")
	}
	if err := checkText(local, true); err != nil {
		return Address{}, err
	}
	d, err := canonical(domain, true)
	if err != nil {
		return Address{}, err
	}
	return Address{local, d}, nil
}

// Parse reads all of s as Mailbox of RFC 5321 §4.1.2: local@domain without angle brackets. Above ASCII it wants
// allowUTF8 (SMTPUTF8, RFC 6531 §3.3).
func Parse(s string, allowUTF8 bool) (Address, error) {
	if len(s) > MaxPath-2 {
		return Address{}, wrong(PathTooLong, "")
	}
	a, rest, err := mailbox(s, allowUTF8)
	if err != nil {
		return Address{}, err
	}
	if rest != "" {
		return Address{}, wrong(Syntax, "text after the domain")
	}
	return a, nil
}

// ParsePath reads the Reverse-path or Forward-path at the start of s and returns what follows it. "<>" gives the zero
// Address: whether that is allowed the caller knows. "<postmaster>" in any case is the only path without a domain. A
// source route is read and dropped.
func ParsePath(s string, allowUTF8 bool) (a Address, rest string, err error) {
	if s == "" || s[0] != '<' {
		return Address{}, s, wrong(Syntax, "no <")
	}
	p := s[1:]
	if strings.HasPrefix(p, ">") {
		return Address{}, p[1:], nil
	}
	if strings.HasPrefix(p, "@") {
		if p, err = skipRoute(p, allowUTF8); err != nil {
			return Address{}, s, err
		}
	}
	const postmaster = "postmaster" // RFC 5321 §4.1.1.3
	if len(p) > len(postmaster) && p[len(postmaster)] == '>' && strings.EqualFold(p[:len(postmaster)], postmaster) {
		return Address{Local: p[:len(postmaster)]}, p[len(postmaster)+1:], nil
	}
	a, p, err = mailbox(p, allowUTF8)
	if err != nil {
		return Address{}, s, err
	}
	if p == "" || p[0] != '>' {
		return Address{}, s, wrong(Syntax, "no >")
	}
	if len(s)-len(p)+1 > MaxPath {
		return Address{}, s, wrong(PathTooLong, "")
	}
	return a, p[1:], nil
}

// skipRoute drops "@one,@two:", RFC 5321 §4.1.1.3 and appendix F.2: accepted, not used.
func skipRoute(p string, allowUTF8 bool) (string, error) {
	end := strings.IndexByte(p, ':')
	if end < 0 || end > MaxPath {
		return "", wrong(Syntax, "source route")
	}
	for hop := range strings.SplitSeq(p[:end], ",") {
		hop, ok := strings.CutPrefix(hop, "@")
		if !ok {
			return "", wrong(Syntax, "source route")
		}
		if !allowUTF8 && !isASCII(hop) {
			return "", wrong(NeedsUTF8, "source route")
		}
		if _, err := canonical(hop, false); err != nil {
			return "", err
		}
	}
	return p[end+1:], nil
}

// mailbox reads local@domain at the start of s. The domain ends at '>', a blank, or the end.
func mailbox(s string, allowUTF8 bool) (Address, string, error) {
	var local string
	var err error
	rest := s
	if strings.HasPrefix(s, `"`) {
		local, rest, err = quotedLocal(s)
	} else {
		i := 0
		// More than Dot-string: leading, trailing and double dots are taken, since Japanese mobile carriers gave out such
		// addresses. String quotes them.
		for i < len(s) && (isAtext(s[i]) || s[i] == '.') {
			i++
		}
		local, rest = s[:i], s[i:]
		if i == 0 {
			err = wrong(Syntax, "no local part")
		}
	}
	if err == nil {
		err = checkText(local, allowUTF8)
	}
	if err != nil {
		return Address{}, s, err
	}
	if rest == "" || rest[0] != '@' {
		if rest != "" && (rest[0] < ' ' || rest[0] == 0x7f) {
			return Address{}, s, wrong(Control, "local part")
		}
		return Address{}, s, wrong(Syntax, "no @")
	}
	rest = rest[1:]
	end := domainEnd(rest)
	if !allowUTF8 && !isASCII(rest[:end]) {
		return Address{}, s, wrong(NeedsUTF8, "domain")
	}
	domain, err := canonical(rest[:end], true)
	if err != nil {
		return Address{}, s, err
	}
	return Address{local, domain}, rest[end:], nil
}

func domainEnd(s string) int {
	if strings.HasPrefix(s, "[") {
		if i := strings.IndexByte(s, ']'); i >= 0 {
			return i + 1
		}
	}
	if i := strings.IndexAny(s, "> "); i >= 0 {
		return i
	}
	return len(s)
}

// quotedLocal reads Quoted-string of RFC 5321 §4.1.2 and returns what it says.
func quotedLocal(s string) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			i++
			// quoted-pairSMTP covers 32 to 126 only; RFC 6531 does not extend it.
			if i == len(s) || s[i] >= utf8.RuneSelf {
				return "", s, wrong(Syntax, "backslash")
			}
		}
		b.WriteByte(s[i])
	}
	return "", s, wrong(Syntax, "quoted string without end")
}

// checkText refuses what no local part may hold: control characters (RFC 5321 §4.1.2 has none in any form), bytes that
// are not UTF-8, and, without allowUTF8, everything above ASCII.
func checkText(s string, allowUTF8 bool) error {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return wrong(Control, "local part")
		}
	}
	if isASCII(s) {
		return nil
	}
	if !utf8.ValidString(s) {
		return wrong(Control, "local part")
	}
	if !allowUTF8 {
		return wrong(NeedsUTF8, "local part")
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError {
			return wrong(Control, "local part")
		}
	}
	return nil
}
