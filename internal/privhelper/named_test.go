package privhelper

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/decide/table"
)

// FuzzNamed: the helper finds named in a text what the server's parser finds there, or that delivery would wait for ever; and
// nothing else.
func FuzzNamed(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, other string) {
		if len(text)+len(other) > 1<<14 || strings.IndexByte(text, 0) >= 0 {
			return
		}
		list, _ := table.IncludedLines(text)
		is := false
		for _, d := range list {
			want := d.Text
			switch d.Kind {
			case table.AliasAddress:
				continue
			case table.AliasCommand:
				want = "|" + want
			case table.AliasInclude:
				want = ":include:" + want
			}
			is = is || want == other
			if len(want) > 2 && !named(text, want, false) {
				t.Fatalf("%q is not found in %q", want, text)
			}
		}
		if special := strings.HasPrefix(other, "|") || strings.HasPrefix(other, "/") || strings.HasPrefix(other, ":include:"); special && !is && named(text, other, false) {
			t.Fatalf("%q is not in %q", other, text)
		}
		fixed, _, err := table.Aliases(text)
		if err != nil {
			return
		}
		for _, value := range fixed.All {
			list, _ := table.Destinations(value)
			for _, d := range list {
				if d.Kind == table.AliasCommand && len(d.Text) > 1 && !named(text, "|"+d.Text, true) {
					t.Fatalf("%q is not found in the aliases %q", d.Text, text)
				}
			}
		}
	})
}
