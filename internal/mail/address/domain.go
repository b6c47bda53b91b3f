package address

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// CanonicalDomain brings a domain to the form that is stored and compared: A-labels in lower case, no final dot; an
// address literal in brackets is brought to the shortest writing of its address.
//
// Names that are plain ASCII are taken with letters, digits, hyphens and underscores: hosts with an underscore exist,
// and what does not exist in the DNS is found out there. U-labels are mapped and checked by UTS 46, non-transitional
// (RFC 5891 §5), without the rules for hyphens at places three and four.
func CanonicalDomain(s string) (string, error) { return canonical(s, true) }

// DisplayDomain shows a domain in U-labels, label by label; a label that is no proper A-label stays as it is.
func DisplayDomain(domain string) string {
	if !strings.Contains(domain, "xn--") {
		return domain
	}
	labels := strings.Split(domain, ".")
	for i, l := range labels {
		u, err := idna.Display.ToUnicode(l)
		if err != nil {
			continue
		}
		// Shown only if reading it again gives the same label, so that what is shown can be typed.
		if back, err := canonical(u, false); err == nil && back == l {
			labels[i] = u
		}
	}
	return strings.Join(labels, ".")
}

// LiteralIP returns the IP address if domain is an address literal.
func LiteralIP(domain string) (netip.Addr, bool) {
	if len(domain) < 2 || domain[0] != '[' || domain[len(domain)-1] != ']' {
		return netip.Addr{}, false
	}
	s := domain[1 : len(domain)-1]
	// RFC 5321 §4.1.3.
	const tag = "IPv6:"
	if len(s) > len(tag) && strings.EqualFold(s[:len(tag)], tag) {
		ip, err := netip.ParseAddr(s[len(tag):])
		return ip, err == nil && ip.Is6() && ip.Zone() == ""
	}
	ip, err := netip.ParseAddr(s)
	return ip, err == nil && ip.Is4()
}

// Literal writes ip as the domain of an address.
func Literal(ip netip.Addr) string {
	ip = ip.WithZone("")
	if ip.Is4() {
		return "[" + ip.String() + "]"
	}
	return "[IPv6:" + ip.String() + "]"
}

func canonical(s string, literal bool) (string, error) {
	if strings.HasPrefix(s, "[") && literal {
		ip, ok := LiteralIP(s)
		if !ok {
			return "", wrong(BadLiteral, "")
		}
		return Literal(ip), nil
	}
	if len(s) > MaxDomain {
		return "", wrong(DomainTooLong, "")
	}
	ascii := s
	if !isASCII(s) {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			return "", wrong(Control, "domain")
		}
		a, err := profile().ToASCII(s)
		if err != nil {
			return "", wrong(BadDomain, err.Error())
		}
		ascii = a
	}
	ascii = lowerASCII(strings.TrimSuffix(ascii, "."))
	// The wire form has one octet more than there are characters and dots, and the root: RFC 1035 §2.3.4.
	if len(ascii) > MaxDomain-2 {
		return "", wrong(DomainTooLong, "")
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if err := checkLabel(label); err != nil {
			return "", err
		}
	}
	return ascii, nil
}

func checkLabel(label string) error {
	if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
		return wrong(BadDomain, "label with nothing or a hyphen at its end")
	}
	if len(label) > 63 {
		return wrong(DomainTooLong, "label over 63 octets")
	}
	for i := 0; i < len(label); i++ {
		switch c := label[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c < ' ' || c == 0x7f:
			return wrong(Control, "domain")
		default:
			return wrong(BadDomain, "character")
		}
	}
	return nil
}

// profile is made where it is used: it is only needed for U-labels, and package idna's own values are not enough.
func profile() *idna.Profile {
	return idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.StrictDomainName(false),
		idna.CheckHyphens(false))
}
