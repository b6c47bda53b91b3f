package table

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The index of a table of networks answers as its rules do, one after the other.
func TestCIDRIndex(t *testing.T) {
	lines := []string{"10.0.0.0/8", "10.1.0.0/16", "!10.0.0.0/8", "0.0.0.0/0", "10.1.2.3", "2001:db8::/32", "::/0", "!2001:db8::/32", "192.168.0.0/16",
		"if 10.0.0.0/8\n10.1.0.0/16", "if !10.0.0.0/8\n0.0.0.0/0"}
	rapid.Check(t, func(rt *rapid.T) {
		var text strings.Builder
		for i, l := range rapid.SliceOfN(rapid.SampledFrom(lines), 0, 12).Draw(rt, "rules") {
			fmt.Fprintf(&text, "%s value%d\n", l, i)
			if strings.HasPrefix(l, "if") {
				text.WriteString("endif\n")
			}
		}
		table, _ := CIDR(text.String())
		for _, key := range []string{"10.1.2.3", "10.9.9.9", "192.0.2.1", "192.168.7.7", "2001:db8::1", "2001:db9::1", "::ffff:10.1.2.3", "fe80::1%eth0", "unknown", "10.1"} {
			got, found, _ := table.Lookup(t.Context(), key)
			if want, wanted := first(table.rules, key); got != want || found != wanted {
				rt.Fatalf("%s\n%s: %q %v, want %q %v", text.String(), key, got, found, want, wanted)
			}
		}
	})
}
