package blob

import "sync"

// buffers are pooled byte slices in three sizes, so that a short message does not hold a long buffer.
type buffers struct {
	classes []bufferClass // by size
	pieces  sync.Pool     // *[]byte of pieceSize, for large bodies
}

type bufferClass struct {
	size int
	pool *sync.Pool // *[]byte of that capacity
}

func newBuffers(smallMax int) *buffers {
	b := &buffers{}
	largest := headerSize + smallMax + trailerHeadSize
	for _, size := range []int{16 << 10, 64 << 10} {
		if size < largest {
			b.classes = append(b.classes, bufferClass{size, new(sync.Pool)})
		}
	}
	b.classes = append(b.classes, bufferClass{largest, new(sync.Pool)})
	return b
}

// get returns an empty buffer with room for n bytes; n is at most what the largest class holds.
func (b *buffers) get(n int) []byte {
	for _, c := range b.classes {
		if n <= c.size {
			if p, ok := c.pool.Get().(*[]byte); ok {
				return (*p)[:0]
			}
			return make([]byte, 0, c.size)
		}
	}
	return make([]byte, 0, n)
}

// grow returns buf with room for n more bytes.
func (b *buffers) grow(buf []byte, n int) []byte {
	if cap(buf)-len(buf) >= n {
		return buf
	}
	bigger := append(b.get(len(buf)+n), buf...)
	b.put(buf)
	return bigger
}

// put takes a buffer back; nil is none.
func (b *buffers) put(buf []byte) {
	for _, c := range b.classes {
		if cap(buf) == c.size {
			c.pool.Put(&buf)
			return
		}
	}
}

func (b *buffers) getPiece() []byte {
	if p, ok := b.pieces.Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, pieceSize)
}

func (b *buffers) putPiece(buf []byte) { b.pieces.Put(&buf) }
