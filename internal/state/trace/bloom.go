package trace

import (
	"strings"
	"unicode/utf8"
)

// A bloom filter tells of a key that it is surely not in a block, or that it may be: with bloomBits bits a key about one in a
// hundred of those that are not.
type bloom []byte

const (
	bloomBits  = 10 // a key
	bloomProbe = 7  // bits that a key sets
	maxBloom   = 128 << 10
)

// newBloom makes the filter of different keys, given by their hashes.
func newBloom(keys []uint64) bloom {
	b := make(bloom, min(len(keys)*bloomBits/8+1, maxBloom))
	for _, k := range keys {
		b.each(k, func(i uint64) bool {
			b[i/8] |= 1 << (i % 8)
			return true
		})
	}
	return b
}

// has tells whether a key may be in the block.
func (b bloom) has(key uint64) bool {
	return len(b) > 0 && b.each(key, func(i uint64) bool { return b[i/8]&(1<<(i%8)) != 0 })
}

// each calls fn for each bit of a key until it returns false.
func (b bloom) each(key uint64, fn func(bit uint64) bool) bool {
	step := key>>33 | 1
	for range bloomProbe {
		if !fn(key % (uint64(len(b)) * 8)) {
			return false
		}
		key += step
	}
	return true
}

// FNV-1a.
const offset, prime = 14695981039346656037, 1099511628211

// hash is that of a key, whatever its case. It is part of the format.
func hash(key string) uint64 {
	h := uint64(offset)
	for i := 0; i < len(key); i++ {
		c := key[i]
		if c >= utf8.RuneSelf {
			return hashed(fold(key))
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		h = (h ^ uint64(c)) * prime
	}
	return finish(h)
}

// hashed is hash for a key that is folded and not of ASCII alone.
func hashed(key string) uint64 {
	h := uint64(offset)
	for i := 0; i < len(key); i++ {
		h = (h ^ uint64(key[i])) * prime
	}
	return finish(h)
}

// finish makes all bits depend on all.
func finish(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// fold makes keys that people do not tell apart the same.
func fold(key string) string { return strings.ToLower(strings.ToValidUTF8(key, "\ufffd")) }
