package replay

import (
	"math/rand/v2"
	"slices"

	"github.com/postrider/postrider/test/crash/disk"
)

// Instants draws n lines to cut at, in order. Half of them lie just after an
// acknowledgement began to leave (the lines that ledger.Locate found), where a
// promise is youngest; the rest just after some operation began or returned.
// The end of the trace is always among them.
func Instants(h *disk.History, acks []int64, n int, seed uint64) []int64 {
	r := rand.New(rand.NewPCG(seed, 1))
	var last int64
	var edges, promised []int64
	for i := range h.Ops {
		op := &h.Ops[i]
		edges = append(edges, op.Begin+1)
		last = max(last, op.Begin+1)
		if op.End < 1<<62 {
			edges = append(edges, op.End+1)
			last = max(last, op.End+1)
		}
	}
	for _, at := range acks {
		if at >= 0 {
			promised = append(promised, at+1)
			last = max(last, at+1)
		}
	}
	out := []int64{last}
	for len(out) < n && len(edges) > 0 {
		from := edges
		if len(promised) > 0 && len(out)%2 == 1 {
			from = promised
		}
		out = append(out, from[r.IntN(len(from))])
	}
	slices.Sort(out)
	return out
}

// Owed lists the indexes of the acknowledgements that had begun to leave before
// the instant: these messages must be there after the cut, each once.
func Owed(acks []int64, instant int64) []int {
	var out []int
	for i, at := range acks {
		if at >= 0 && at < instant {
			out = append(out, i)
		}
	}
	return out
}
