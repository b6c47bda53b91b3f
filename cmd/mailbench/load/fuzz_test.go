package load

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// FuzzReply reads replies; one that is understood must mean the same when it is written anew.
func FuzzReply(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := parse(in)
		if err != nil {
			return
		}
		if r.code < 200 || r.code > 599 || len(r.lines) == 0 || len(r.lines) > maxReplyLines {
			t.Fatalf("%q: code %d, %d lines", in, r.code, len(r.lines))
		}
		var out bytes.Buffer
		for i, line := range r.lines {
			sep := "-"
			if i == len(r.lines)-1 {
				sep = " "
			}
			fmt.Fprintf(&out, "%d%s%s\r\n", r.code, sep, line)
		}
		again, err := parse(out.Bytes())
		if err != nil || again.code != r.code || !slices.Equal(again.lines, r.lines) {
			t.Fatalf("%q became %q: %v", in, out.Bytes(), err)
		}
	})
}

func parse(in []byte) (reply, error) {
	k := &conn{r: bufio.NewReaderSize(bytes.NewReader(in), maxReplyLine)}
	return k.reply(true)
}
