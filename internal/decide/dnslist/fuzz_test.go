package dnslist

import (
	"net/netip"
	"strings"
	"testing"
)

// What is read is written as something that is read as the same.
func FuzzList(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string, a, b, c, d byte) {
		l, err := Parse(s, true)
		if err != nil {
			return
		}
		again, err := Parse(l.String(), true)
		if err != nil || again.String() != l.String() {
			t.Fatalf("%q is written as %q: %v", s, l, err)
		}
		code := netip.AddrFrom4([4]byte{a, b, c, d})
		if l.Filter.Match(code) != again.Filter.Match(code) || l.Weight != again.Weight {
			t.Fatalf("%q and %q differ for %s", s, l, code)
		}
	})
}

// Whatever the template and the values are, the reply is one line of printable ASCII that refuses.
func FuzzTemplate(f *testing.F) {
	f.Fuzz(func(t *testing.T, s, given string) {
		tmpl, err := ParseTemplate(s)
		if err != nil {
			return
		}
		reply, _ := tmpl.Reply(554, func(name string) string {
			if name == "sender" {
				return ""
			}
			return given
		})
		if reply.Code < 400 || reply.Code > 599 || reply.Code/100 != int(reply.Class) || reply.Public == "" || len(reply.Public) > maxExpanded {
			t.Fatalf("%q gives %v", s, reply)
		}
		if i := strings.IndexFunc(reply.Public, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			t.Fatalf("%q gives %q", s, reply.Public)
		}
	})
}
