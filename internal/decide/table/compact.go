package table

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
)

// Fixed is a table of fixed strings in memory, for reading by many at once. A million entries take their text and eight to
// sixteen bytes each.
type Fixed struct {
	seed  maphash.Seed
	text  []byte   // for each entry: length of the key, key, length of the value, value; lengths as varints
	slots []uint32 // open addressing: offset in text + 1; 0: empty
	count int
}

// ErrLarge refuses a table of more than 4 GiB.
var ErrLarge = errors.New("table is larger than 4 GiB; keep it in a database")

// builder collects entries.
type builder struct{ t Fixed }

func newBuilder() *builder {
	return &builder{t: Fixed{seed: maphash.MakeSeed(), slots: make([]uint32, 16)}}
}

// add puts an entry; false if the key is there already: the first one stands.
func (b *builder) add(key, value string) (fresh bool, err error) {
	t := &b.t
	key = fold(key)
	if uint64(len(t.text))+uint64(len(key))+uint64(len(value))+20 >= 1<<32-1 {
		return false, ErrLarge
	}
	if t.count*2 >= len(t.slots) { // most keys that are looked up are not there, and every slot on the way costs a look into text
		t.grow()
	}
	slot, _, found := t.find(key)
	if found {
		return false, nil
	}
	t.slots[slot] = uint32(len(t.text)) + 1
	t.text = append(binary.AppendUvarint(t.text, uint64(len(key))), key...)
	t.text = append(binary.AppendUvarint(t.text, uint64(len(value))), value...)
	t.count++
	return true, nil
}

func (b *builder) table() *Fixed { return &b.t }

// find returns the key's slot, or the free one where it belongs.
func (t *Fixed) find(key string) (slot int, value string, found bool) {
	mask := len(t.slots) - 1
	for slot = int(maphash.String(t.seed, key)) & mask; t.slots[slot] != 0; slot = (slot + 1) & mask {
		at := t.slots[slot] - 1
		k, rest := field(t.text[at:])
		if string(k) == key {
			v, _ := field(rest)
			return slot, string(v), true
		}
	}
	return slot, "", false
}

func field(b []byte) (value, rest []byte) {
	n, w := binary.Uvarint(b)
	return b[w : w+int(n)], b[w+int(n):]
}

func (t *Fixed) grow() {
	old := t.slots
	t.slots = make([]uint32, 2*len(old))
	mask := len(t.slots) - 1
	for _, at := range old {
		if at == 0 {
			continue
		}
		k, _ := field(t.text[at-1:])
		slot := int(maphash.Bytes(t.seed, k)) & mask
		for t.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		t.slots[slot] = at
	}
}

// Lookup implements Table. It never fails.
func (t *Fixed) Lookup(_ context.Context, key string) (string, bool, error) {
	_, value, found := t.find(fold(key))
	return value, found, nil
}

// Pattern implements Table.
func (t *Fixed) Pattern() bool { return false }

// Len returns the number of entries.
func (t *Fixed) Len() int { return t.count }

// All calls yield for every entry, in the order of the text.
func (t *Fixed) All(yield func(key, value string) bool) {
	for rest := t.text; len(rest) > 0; {
		var k, v []byte
		k, rest = field(rest)
		v, rest = field(rest)
		if !yield(string(k), string(v)) {
			return
		}
	}
}
