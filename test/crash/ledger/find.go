package ledger

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/postrider/postrider/test/crash/trace"
)

// MinPattern is the shortest pattern a Finder takes: a shorter one would be
// found by chance.
const MinPattern = 8

// Finder looks for many patterns at once.
type Finder struct {
	first    [1 << 16]bool // of the hashes of all patterns' first four bytes
	byStart  map[string][]int
	patterns [][]byte
	longest  int
}

// NewFinder makes a Finder; patterns are named by their index.
func NewFinder(patterns [][]byte) (*Finder, error) {
	f := &Finder{byStart: map[string][]int{}, patterns: patterns}
	for i, p := range patterns {
		if len(p) < MinPattern {
			return nil, fmt.Errorf("pattern %q is shorter than %d bytes", p, MinPattern)
		}
		f.first[hash4(p)] = true
		key := string(p[:MinPattern])
		f.byStart[key] = append(f.byStart[key], i)
		f.longest = max(f.longest, len(p))
	}
	return f, nil
}

func hash4(b []byte) uint16 {
	v := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	return uint16(v * 2654435761 >> 16)
}

// Find calls found for each place where a pattern occurs.
func (f *Finder) Find(data []byte, found func(pattern, at int)) {
	for i := 0; i+MinPattern <= len(data); i++ {
		if !f.first[hash4(data[i:])] {
			continue
		}
		for _, p := range f.byStart[string(data[i:i+MinPattern])] {
			if bytes.HasPrefix(data[i:], f.patterns[p]) {
				found(p, i)
			}
		}
	}
}

// Stream finds patterns that several pieces of one stream make up together.
type Stream struct {
	tail []byte
}

// Find looks at the next piece and reports each pattern that ends in it, and
// how many bytes of the pattern came in the pieces before.
func (s *Stream) Find(f *Finder, piece []byte, found func(pattern, earlier int)) {
	keep := len(s.tail)
	joined := append(s.tail, piece...)
	f.Find(joined, func(p, at int) {
		if at+len(f.patterns[p]) > keep {
			found(p, max(0, keep-at))
		}
	})
	s.tail = append([]byte(nil), joined[max(0, len(joined)-max(0, f.longest-1)):]...)
}

// Reset forgets the pieces so far: the next does not continue them.
func (s *Stream) Reset() { s.tail = nil }

// LocateBefore finds, for each acknowledgement that has a Before, the line on
// which the write of that reply began: the command was sent later. -1: it has
// none, or it is not in the trace.
func LocateBefore(events []trace.Event, acks []Ack) ([]int64, error) {
	var index []int
	var before []Ack
	for i, a := range acks {
		if a.Before != nil {
			index = append(index, i)
			before = append(before, Ack{Reply: a.Before, Peer: a.Peer})
		}
	}
	found, err := Locate(events, before)
	if err != nil {
		return nil, err
	}
	at := make([]int64, len(acks))
	for i := range at {
		at[i] = -1
	}
	for k, i := range index {
		at[i] = found[k]
	}
	return at, nil
}

// Locate finds, for each acknowledgement, the line on which the write of its
// first byte began: from there on the client may have it. -1: not in the trace.
// A reply that several writes contain is counted from the first of them.
func Locate(events []trace.Event, acks []Ack) ([]int64, error) {
	at := make([]int64, len(acks))
	replies := make([][]byte, len(acks))
	for i, a := range acks {
		at[i], replies[i] = -1, a.Reply
	}
	f, err := NewFinder(replies)
	if err != nil {
		return nil, err
	}
	type piece struct {
		begin int64
		size  int
	}
	type conn struct {
		Stream
		pieces []piece
	}
	conns := map[string]*conn{}
	for i := range events {
		e := &events[i]
		if e.Kind != trace.Write || strings.HasPrefix(e.Path, "/") || e.Err != "" || len(e.Data) == 0 {
			continue
		}
		c := conns[e.Path]
		if c == nil {
			c = &conn{}
			conns[e.Path] = c
		}
		c.pieces = append(c.pieces, piece{e.Begin, len(e.Data)})
		c.Find(f, e.Data, func(p, earlier int) {
			if at[p] >= 0 || acks[p].Peer != "" && !strings.HasSuffix(e.Path, "->"+acks[p].Peer+"]") {
				return
			}
			k := len(c.pieces) - 1
			for ; earlier > 0 && k > 0; k-- {
				earlier -= c.pieces[k-1].size
			}
			at[p] = c.pieces[k].begin
		})
	}
	return at, nil
}
