package blob

import (
	"github.com/postrider/postrider/internal/mail/recipe"
)

// pieceSize is how much of a large body is in memory at once, bytes.
const pieceSize = 128 << 10

// stream writes a large body into a pack of its own, in pieces. Nothing is promised before its one sync, at Commit.
type stream struct {
	s      *Store
	p      *pack
	buf    []byte
	off    int64  // where buf goes
	header uint32 // checksum of the record's header
}

// openStream moves the Writer to a pack of its own, with what its buffer holds.
func (w *Writer) openStream() error {
	p, err := w.s.take()
	if err != nil {
		return err
	}
	w.s.mu.Lock()
	p.streaming = true
	w.s.mu.Unlock()
	if err := w.s.cutFill(p); err != nil { // the record ends where the file ends
		w.s.setAside(p)
		return err
	}
	st := &stream{s: w.s, p: p, buf: w.s.bufs.getPiece(), off: p.written}
	w.big = st
	h := header{mark: p.mark, version: formatVersion, flags: flagStreamed, id: w.id, durable: p.written}
	st.header = h.put(st.buf[:headerSize])
	st.buf = st.buf[:headerSize]
	if w.buf != nil {
		err = st.write(w.buf[headerSize:])
		w.s.bufs.put(w.buf)
		w.buf = nil
	}
	return err
}

func (st *stream) write(b []byte) error {
	for len(b) > 0 {
		if len(st.buf) == pieceSize {
			if err := st.flush(); err != nil {
				return err
			}
		}
		n := copy(st.buf[len(st.buf):pieceSize], b)
		st.buf, b = st.buf[:len(st.buf)+n], b[n:]
	}
	return nil
}

func (st *stream) flush() error {
	if err := st.s.Failed(); err != nil {
		return err
	}
	if _, err := st.p.file.WriteAt(st.buf, st.off); err != nil {
		return st.s.failWrite("write", err)
	}
	st.off += int64(len(st.buf))
	st.buf = st.buf[:0]
	return nil
}

// commitStream writes what ends the record and syncs it, in the caller's goroutine.
func (w *Writer) commitStream() error {
	st, s := w.big, w.s
	w.foot.header = st.header
	var head [trailerHeadSize]byte
	putTrailerHead(head[:], len(w.trailer), w.foot.trSum)
	w.foot.put(w.tail[:])
	for _, b := range [][]byte{head[:], w.trailer, w.tail[:]} {
		if err := st.write(b); err != nil {
			return err
		}
	}
	if err := st.flush(); err != nil {
		return err
	}
	if err := syncRecords(st.p.file); err != nil {
		return s.fail("sync", err)
	}
	w.big = nil
	s.bufs.putPiece(st.buf)
	p := st.p
	w.ref = recipe.BlobRef{Pack: p.number, Offset: p.written, Length: w.size}
	w.end = st.off
	s.stats.syncs.Add(1)
	s.stats.bytes.Add(w.end - p.written)
	s.mu.Lock()
	p.track(p.written, w.end)
	p.streaming = false
	s.mu.Unlock()
	p.written = w.end
	s.retire(p)
	return nil
}

// abort takes the body off the disk again and gives the pack back.
func (st *stream) abort() {
	s, p := st.s, st.p
	s.bufs.putPiece(st.buf)
	err := s.Failed()
	if err == nil {
		err = p.file.Truncate(p.written)
	}
	if err == nil {
		s.giveBack(p)
		return
	}
	s.log.Warn("aborted body stays on the disk", "pack", p.number, "err", err)
	s.mu.Lock()
	p.streaming = false
	if s.closed {
		if err := p.close(); err != nil {
			s.log.Warn("pack cannot be closed", "pack", p.number, "err", err)
		}
	}
	s.mu.Unlock()
	p.dirty = true
	s.retire(p)
}
