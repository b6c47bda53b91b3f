// Package queueid makes and writes the ids of messages in the queue.
//
// An ID is 16 bytes, big-endian: eight of time (microseconds since 1970), eight of origin. An id made by a Source is
// unique because a Source never gives the same microsecond twice and its origin (node, boot) is never used by another
// process: boot is counted up durably at every start. An id of mail that a delivery caused (bounce, redirect, vacation,
// MDN) is derived from its cause, so that a repeat after a crash is the same id and becomes a no-op.
//
// Shown, an id has the form of Postfix's long queue ids (postconf(5) enable_long_queue_ids): seconds and microseconds in
// base 52 without vowels, 'z', origin in base 51; log tools written for Postfix match it.
package queueid

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"time"
)

// ID names one message in the queue, for ever. The zero ID is none.
type ID [16]byte

const (
	alphabet = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz" // 52 characters
	derived  = uint64(1) << 63                                        // in the origin: the rest is a hash of the cause
	bootBits = 40
)

// New puts an ID together. Most callers want a Source.
func New(micros int64, origin uint64) ID {
	var id ID
	binary.BigEndian.PutUint64(id[:8], uint64(micros))
	binary.BigEndian.PutUint64(id[8:], origin)
	return id
}

// Micros returns the time part: microseconds since 1970.
func (id ID) Micros() int64 { return int64(binary.BigEndian.Uint64(id[:8])) }

// Time returns the time part.
func (id ID) Time() time.Time { return time.UnixMicro(id.Micros()) }

// IsZero tells whether id is none.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by time, then origin: -1, 0 or 1.
func (id ID) Compare(o ID) int { return strings.Compare(string(id[:]), string(o[:])) }

// Derive returns the id of the mail that action number action on recipient number recipient of message id causes. It is
// the same at every call; its time is the cause's, so that whatever outlives the cause outlives it too.
func (id ID) Derive(recipient, action int) ID {
	var b [32]byte
	copy(b[:16], id[:])
	binary.BigEndian.PutUint64(b[16:24], uint64(recipient))
	binary.BigEndian.PutUint64(b[24:], uint64(action))
	sum := sha256.Sum256(b[:])
	return New(id.Micros(), binary.BigEndian.Uint64(sum[:8])|derived)
}

// Named returns the id that a name gives, the same at every call: of mail whose origin may hand it over again. Its time is
// the caller's.
func Named(micros int64, name string) ID {
	sum := sha256.Sum256([]byte(name))
	return New(micros, binary.BigEndian.Uint64(sum[:8])|derived)
}

// IsDerived tells whether the id was made by Derive or Named.
func (id ID) IsDerived() bool { return binary.BigEndian.Uint64(id[8:])&derived != 0 }

// String shows the id: six or more characters of seconds, four of microseconds, 'z', then the origin.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	micros := binary.BigEndian.Uint64(id[:8])
	var b [48]byte
	i := encode(b[:], len(b), binary.BigEndian.Uint64(id[8:]), 51, 1)
	i--
	b[i] = 'z'
	i = encode(b[:], i, micros%1e6, 52, 4)
	i = encode(b[:], i, micros/1e6, 52, 6)
	return string(b[i:])
}

func encode(b []byte, i int, v, base uint64, width int) int {
	for n := 0; v > 0 || n < width; n++ {
		i--
		b[i] = alphabet[v%base]
		v /= base
	}
	return i
}

// ErrSyntax is returned by Parse for what String never writes.
var ErrSyntax = errors.New("not a queue id")

// Parse reads what String wrote.
func Parse(s string) (ID, error) {
	// The last 'z' is the separator: the origin's base 51 has no 'z'.
	z := strings.LastIndexByte(s, 'z')
	if z < 10 || z == len(s)-1 || len(s) > 40 {
		return ID{}, ErrSyntax
	}
	sec, ok1 := decode(s[:z-4], 52)
	us, ok2 := decode(s[z-4:z], 52)
	origin, ok3 := decode(s[z+1:], 51)
	if !ok1 || !ok2 || !ok3 || us >= 1e6 || sec > (1<<62)/1_000_000 {
		return ID{}, ErrSyntax
	}
	id := New(int64(sec*1e6+us), origin)
	if id.String() != s {
		return ID{}, ErrSyntax
	}
	return id, nil
}

func decode(s string, base uint64) (uint64, bool) {
	var v uint64
	for i := 0; i < len(s); i++ {
		d := strings.IndexByte(alphabet, s[i])
		if d < 0 || uint64(d) >= base || v > (1<<64-1-uint64(d))/base {
			return 0, false
		}
		v = v*base + uint64(d)
	}
	return v, true
}

// Source hands out ids. It is safe for concurrent use.
type Source struct {
	now    func() time.Time
	origin uint64

	mu   sync.Mutex
	last int64
}

// NewSource makes a Source for one start of one node. node and boot together must never have been used before; boot is
// counted in the database.
func NewSource(now func() time.Time, node uint16, boot uint64) *Source {
	return &Source{now: now, origin: (uint64(node)<<bootBits | boot&(1<<bootBits-1)) &^ derived}
}

// Next returns a new id, greater than every id it returned before even when the clock steps back.
func (s *Source) Next() ID {
	t := s.now().UnixMicro()
	s.mu.Lock()
	if t <= s.last {
		t = s.last + 1
	}
	s.last = t
	s.mu.Unlock()
	return New(t, s.origin)
}
