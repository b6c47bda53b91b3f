package trace

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// FuzzParse checks on any text that events are possible, and that what strace
// would have written about a call with these bytes is read back as that call.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string, data []byte, path string, split bool) {
		events, err := parseText(text)
		lines := int64(strings.Count(text, "\n"))
		for _, e := range events {
			if e.Begin < 1 || e.Begin > lines || e.End < e.Begin || e.End != Never && e.End > lines {
				t.Fatalf("impossible lines %d–%d of %d", e.Begin, e.End, lines)
			}
			if e.Kind == Other || e.PID <= 0 || e.Kind == Write && e.End != Never && int64(len(e.Data)) != max(e.Result, 0) {
				t.Fatalf("impossible event %+v", e)
			}
		}
		if err == nil && int64(len(events)) > lines {
			t.Fatalf("%d events from %d lines", len(events), lines)
		}

		path = "/" + strings.ReplaceAll(path, "\x00", "")
		begin := fmt.Sprintf("7 1.0 pwrite64(3<%s>, \"%s\", %d, 512", escape([]byte(path)), escape(data), len(data))
		end := fmt.Sprintf(") = %d <0.1>\n", len(data))
		if split {
			end = " <unfinished ...>\n8 1.1 fsync(4</x>) = 0\n7 1.2 <... pwrite64 resumed>" + end
		}
		events, err = parseText(begin + end)
		if err != nil {
			t.Fatalf("%s%s: %v", begin, end, err)
		}
		e := events[len(events)-1]
		if e.Path != path || !bytes.Equal(e.Data, data) || e.Offset != 512 || e.Result != int64(len(data)) || !e.OK() {
			t.Fatalf("%+v from %s%s", e, begin, end)
		}
	})
}

// escape writes bytes as strace does: text as text with octal for the rest.
func escape(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		switch {
		case c == '"' || c == '\\':
			out.WriteByte('\\')
			out.WriteByte(c)
		case c >= ' ' && c < 0x7f && c != '<' && c != '>':
			out.WriteByte(c)
		case c >= 0x80:
			fmt.Fprintf(&out, `\x%02x`, c)
		default:
			fmt.Fprintf(&out, `\%03o`, c)
		}
	}
	return out.String()
}
