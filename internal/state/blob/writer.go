package blob

import (
	"context"
	"errors"
	"hash/crc32"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/durable"
)

var (
	errDone    = errors.New("blob: writer used after Commit or Abort")
	errTooLong = status.Perm(552, 3, 4, "Message size exceeds fixed limit")
)

// Writer takes one message's body. It is not safe for concurrent use. Every Writer ends with Commit or Abort; an Abort
// after a Commit does nothing, so that it may be deferred.
type Writer struct {
	s    *Store
	id   queueid.ID
	buf  []byte  // small: header space and body so far; large: nil
	big  *stream // large
	size int64   // of the body so far
	sum  uint32  // CRC32C of it
	err  error   // of an earlier Write
	done bool

	// What the appending goroutine gets and gives.
	trailer []byte
	foot    footer
	tail    [footerSize]byte
	ref     recipe.BlobRef
	end     int64
	result  chan error
}

// Create begins a record. sizeHint is the expected length of the body in bytes, 0 if unknown; it only chooses buffers.
// id is kept in the record's header.
func (s *Store) Create(ctx context.Context, id queueid.ID, sizeHint int64) (*Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if err := s.Failed(); err != nil {
		return nil, err
	}
	if closed {
		return nil, status.ErrShutdown
	}
	w := &Writer{s: s, id: id}
	if sizeHint > int64(s.opt.SmallMax) {
		return w, nil // the first Write opens the stream
	}
	w.buf = s.bufs.get(headerSize + int(max(sizeHint, 0)) + trailerHeadSize)[:headerSize]
	return w, nil
}

// Write appends to the body. After an error the Writer can only be aborted.
func (w *Writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, errDone
	}
	if w.err != nil {
		return 0, w.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if w.size+int64(len(p)) > MaxBody {
		w.err = errTooLong
		return 0, w.err
	}
	if w.big == nil && (w.buf == nil || w.size+int64(len(p)) > int64(w.s.opt.SmallMax)) {
		if w.err = w.openStream(); w.err != nil {
			return 0, w.err
		}
	}
	w.sum = crc32.Update(w.sum, castagnoli, p)
	w.size += int64(len(p))
	if w.big != nil {
		w.err = w.big.write(p)
	} else {
		w.buf = append(w.s.bufs.grow(w.buf, len(p)+trailerHeadSize), p...)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Size returns the length of the body so far.
func (w *Writer) Size() int64 { return w.size }

// Commit ends the record with the trailer and returns its reference once the record is durable, and the name of its pack.
// Only then may the message be acknowledged. The record is unsettled until Settle.
//
// ctx ends the wait for a place in the queue; once the record is handed over Commit waits for its fate, which the disk
// bounds. After an error
// nothing is acknowledged, though a replay may still find the record: its sender was told to try again, and does.
func (w *Writer) Commit(ctx context.Context, trailer []byte) (recipe.BlobRef, error) {
	if w.done {
		return recipe.BlobRef{}, errDone
	}
	defer w.Abort()
	if w.err != nil {
		return recipe.BlobRef{}, w.err
	}
	if len(trailer) > MaxTrailer {
		return recipe.BlobRef{}, status.Temp(451, 3, 4, "Message has too many recipients or headers").With("blob: commit", errTooLong)
	}
	if err := ctx.Err(); err != nil {
		return recipe.BlobRef{}, err
	}
	if err := w.s.begin(); err != nil {
		return recipe.BlobRef{}, err
	}
	defer w.s.commits.Done()
	w.trailer = trailer
	w.foot = footer{body: w.size, trailer: int64(len(trailer)), bodySum: w.sum, trSum: crc(trailer)}
	var err error
	if w.buf == nil && w.big == nil { // a large body was announced and none came
		w.buf = w.s.bufs.get(headerSize + trailerHeadSize)[:headerSize]
	}
	if w.big != nil {
		err = w.commitStream()
	} else {
		err = w.commitSmall(ctx)
	}
	if err != nil {
		return recipe.BlobRef{}, err
	}
	pos := durable.Position{Log: durable.Packs, Segment: w.ref.Pack, Offset: w.end}
	if err := w.s.opt.Durable.Wait(ctx, pos); err != nil {
		w.s.Settle(w.ref) // nobody will: it is not acknowledged
		return recipe.BlobRef{}, err
	}
	w.s.stats.commits.Add(1)
	return w.ref, nil
}

// commitSmall hands the record to the appending goroutine and waits.
func (w *Writer) commitSmall(ctx context.Context) error {
	n := len(w.buf)
	w.buf = w.s.bufs.grow(w.buf, trailerHeadSize)[:n+trailerHeadSize]
	putTrailerHead(w.buf[n:], len(w.trailer), w.foot.trSum)
	w.result = make(chan error, 1)
	select {
	case w.s.queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-w.result
}

// recordSize is the length of a small record.
func (w *Writer) recordSize() int64 {
	return int64(len(w.buf) + len(w.trailer) + footerSize)
}

// Abort ends a Writer that is not to be committed and leaves no trace of its body.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.s.bufs.put(w.buf)
	w.buf, w.trailer = nil, nil
	if w.big != nil {
		w.big.abort()
		w.big = nil
	}
}
