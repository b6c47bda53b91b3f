package greylist

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/address"
)

// Whatever strangers call themselves: what a sender counts as has no digit that could change with each message, is never
// longer than what it is made of (a byte that is not UTF-8 becomes the three of U+FFFD), and does not depend on case; looking at a name never fails.
func FuzzSender(f *testing.F) {
	f.Fuzz(func(t *testing.T, local, domain, name string, a, b, c, d byte) {
		from := address.Address{Local: local, Domain: domain}
		got := Sender(from)
		if from.IsZero() != (got == "<>") || len(got) > 3*(len(local)+len(domain))+16 {
			t.Fatalf("%q@%q counts as %q", local, domain, got)
		}
		if before, _, ok := strings.Cut(got, "@"); ok && !strings.Contains(domain, "@") && !strings.Contains(local, "@") && strings.ContainsAny(before, "0123456789") {
			t.Fatalf("%q@%q counts as %q", local, domain, got)
		}
		if isASCII(local+domain) && Sender(address.Address{Local: strings.ToUpper(local), Domain: strings.ToUpper(domain)}) != got {
			t.Fatalf("%q@%q counts as something else in capitals", local, domain)
		}
		client := netip.AddrFrom4([4]byte{a, b, c, d})
		dial := Dynamic(name, client)
		site := Site(client, name)
		if dial && site != netip.PrefixFrom(client, 24).Masked().String() {
			t.Fatalf("%q looks like a dial-up of %s, and counts as %s", name, client, site)
		}
		if points := (Suspect{Client: client, Name: name}).Points(); points < 0 || points > 2 {
			t.Fatalf("%q has %d points", name, points)
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > '~' }) < 0
}
