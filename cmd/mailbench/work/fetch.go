package work

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/cmd/mailbench/client"
)

// bodiesBatch is how many whole messages one FETCH asks for, if not said otherwise.
const bodiesBatch = 1000

// fetch asks for one kind of data of many messages.
type fetch struct {
	*seat
	items string
	has   string // what each answer must have
	usual int    // messages of one operation; 0: the whole mailbox
	whole bool   // the message's text, of the size that the server says
	told  []bool // of each message of the range: answered
}

func newFetch(s *seat) *fetch {
	switch s.run.o.Workload {
	case "fetch-envelope":
		return &fetch{seat: s, items: "(ENVELOPE)", has: "ENVELOPE"}
	case "fetch-structure":
		return &fetch{seat: s, items: "(BODYSTRUCTURE)", has: "BODYSTRUCTURE"}
	case "fetch-bodies":
		return &fetch{seat: s, items: "(RFC822.SIZE BODY.PEEK[])", has: "BODY[]", usual: bodiesBatch, whole: true}
	}
	return &fetch{seat: s, items: "(FLAGS)", has: "FLAGS"}
}

func (f *fetch) prepare(ctx context.Context) error { return f.open(ctx, true) }

func (f *fetch) operate(context.Context) (done, error) {
	low, high := f.window(f.batch(f.usual), 1, f.exists)
	var d done
	f.told = cleared(f.told, high-low+1)
	_, err := f.m.Do(fmt.Sprintf("FETCH %d:%d %s", low, high, f.items), func(a client.Answer) error {
		n, word, rest, ok := a.Numbered()
		if !ok || !client.Is(word, "FETCH") || !client.Has(rest, f.has) {
			return nil // another session's change, or news of the mailbox
		}
		if n < low || n > high || f.told[n-low] {
			return fmt.Errorf("message %d was not asked for, or comes twice", n)
		}
		if size, ok := client.Value(rest, "RFC822.SIZE"); f.whole && (!ok || size != a.Octets) {
			return fmt.Errorf("message %d: RFC822.SIZE %d, but %d octets came", n, size, a.Octets)
		}
		f.told[n-low] = true
		d.messages++
		if f.whole {
			d.octets += a.Octets
		}
		return nil
	})
	if err == nil && d.messages != int64(high-low+1) {
		err = fmt.Errorf("FETCH %d:%d: %d messages came, %d were asked for", low, high, d.messages, high-low+1)
	}
	return d, err
}

// cleared returns n times false, in b if it is large enough.
func cleared(b []bool, n uint32) []bool {
	if uint32(cap(b)) < n {
		return make([]bool, n)
	}
	b = b[:n]
	clear(b)
	return b
}
