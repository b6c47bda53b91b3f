package privhelper

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/decide/table"
)

// FuzzNamed: what the server's parser of aliases(5) finds in a text, the helper finds named there, or that delivery would wait
// for ever; and the helper finds nothing whose bytes are not there. Comments within a command are the exception: the parser
// takes them out, and the helper refuses.
func FuzzNamed(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, other string) {
		if len(text)+len(other) > 1<<14 {
			return
		}
		if named(text, other) && !strings.Contains(bare(text), bare(other)) {
			t.Fatalf("%q is not in %q", other, text)
		}
		if strings.ContainsAny(text, "()\x00\v\f\r") {
			return
		}
		list, _ := table.IncludedLines(text)
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
			if len(want) > 2 && strings.Trim(d.Text, "|: \t\"\\") != "" && !strings.ContainsAny(d.Text, "\n#") && !named(text, want) {
				t.Fatalf("%q is not found in %q", want, text)
			}
		}
	})
}
