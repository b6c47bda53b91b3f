package table

import (
	"context"
	"strings"
	"testing"
)

// FuzzTable reads any text as each kind of table, and asks. What must hold: no panic, problems name lines that exist, each
// entry of a table of fixed strings is found under its own key, and a second reading answers the same.
func FuzzTable(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, key string) {
		last := strings.Count(text, "\n") + 1
		check := func(kind string, bad []Problem) {
			for _, p := range bad {
				if p.Line < 0 || p.Line > last || p.Text == "" {
					t.Errorf("%s: %q in a text of %d lines", kind, p, last)
				}
			}
		}
		fixed, bad, err := Text(text)
		if err != nil {
			t.Fatal(err)
		}
		check("text", bad)
		n := 0
		for k, v := range fixed.All {
			n++
			if got, found, _ := fixed.Lookup(context.Background(), k); !found || got != v {
				t.Errorf("%q: %q, %t; want %q", k, got, found, v)
			}
		}
		if n != fixed.Len() {
			t.Errorf("%d entries, Len says %d", n, fixed.Len())
		}
		for kind, of := range map[string]func(string) (*Patterns, []Problem){"regexp": Regexp, "pcre": PCRE, "cidr": CIDR} {
			a, bad := of(text)
			check(kind, bad)
			b, _ := of(text)
			va, fa, err := a.Lookup(context.Background(), key)
			vb, fb, _ := b.Lookup(context.Background(), key)
			if err != nil || va != vb || fa != fb {
				t.Errorf("%s: %q, %t and %q, %t: %v", kind, va, fa, vb, fb, err)
			}
		}
		if parts, err := Split(text); err == nil {
			for _, p := range parts {
				if p == "" || !strings.Contains(text, p) {
					t.Errorf("part %q of %q", p, text)
				}
			}
		}
		if table, err := Inline(text); err == nil && table.Len() == 0 {
			t.Errorf("inline:%s is empty", text)
		}
	})
}
