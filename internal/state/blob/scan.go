package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
)

// Record is one that a scan found whole, every checksum right.
type Record struct {
	Ref     recipe.BlobRef
	ID      queueid.ID
	Trailer []byte
	End     int64 // offset behind the record in its pack
}

// Damage is a stretch of a pack that was durable once and is no sound record now, or one that this version cannot read.
type Damage struct {
	Pack     int64
	From, To int64      // offsets
	ID       queueid.ID // if the header could be read
	Err      error      // ErrDamaged, ErrUnsupported, or the disk's error
}

// Visitor is told what a scan finds, records in the order of their offsets. An error that it returns ends the scan.
type Visitor struct {
	Record func(Record) error
	Damage func(Damage) error
}

// Tail is how a scan ended.
type Tail struct {
	End  int64 // behind the last sound record
	Size int64 // of the file
	// Torn is where the first unfinished record of the last group begins: a write that no sync had covered when the power
	// went. Nothing from there on was acknowledged, though sound records there are reported like others. 0: none; what lies
	// behind End is then zeros, space written ahead.
	Torn int64
}

// Scan walks a pack from an offset at which a record begins; 0 is its start. It is how a start replays and how a check
// looks for damage, and may run beside writing. Nothing is skipped in silence: behind a bad record it goes on at the next
// header of this pack, and what lies between is damage if a later record says that it was durable, else torn.
func (s *Store) Scan(ctx context.Context, pack, from int64, v Visitor) (Tail, error) {
	h, err := s.handles.get(pack)
	if err != nil {
		return Tail{}, fmt.Errorf("blob: scan pack %d: %w", pack, err)
	}
	defer s.handles.release(h)
	size, err := h.file.Size()
	if err != nil {
		return Tail{}, fmt.Errorf("blob: scan pack %d: %w", pack, err)
	}
	sc := scanner{r: h.file, pack: pack, size: size, mark: h.mark, v: v, kind: h.kind, codec: &s.codec, buf: make([]byte, 64<<10)}
	if err := sc.run(ctx, max(from, packHeaderSize)); err != nil {
		return Tail{}, fmt.Errorf("blob: scan pack %d: %w", pack, err)
	}
	return sc.tail, nil
}

type scanner struct {
	r    io.ReaderAt
	pack int64
	size int64
	mark mark
	kind Kind
	v    Visitor

	codec *codec
	buf   []byte

	pending []Damage // torn, unless a later record says that it was durable
	tail    Tail
}

func (sc *scanner) run(ctx context.Context, at int64) error {
	sc.tail = Tail{End: at, Size: sc.size}
	for at < sc.size {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, err := sc.step(ctx, at)
		if err != nil {
			return err
		}
		at = next
	}
	return sc.judgeTail(ctx)
}

// step looks at what begins at offset at, reports it and returns where the next begins.
func (sc *scanner) step(ctx context.Context, at int64) (int64, error) {
	fr, err := readFrame(sc.r, sc.size, sc.mark, at)
	headed := fr.off == at // the header itself is sound
	if headed {
		if err := sc.settlePending(fr.durable); err != nil {
			return 0, err
		}
	}
	var trailer []byte
	if err == nil {
		trailer, err = fr.verify(ctx, sc.r, workspace{sc.codec, sc.buf})
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, ctx.Err()
	case err != nil && !errors.Is(err, ErrDamaged):
		return 0, err // the disk's error: nothing is known, so nothing is concluded
	case err != nil:
		return sc.bad(at, fr, headed, err)
	}
	sc.tail.End = fr.end
	if err := fr.supported(); err != nil {
		return fr.end, sc.damage(Damage{Pack: sc.pack, From: at, To: fr.end, ID: fr.id, Err: err})
	}
	if sc.v.Record == nil {
		return fr.end, nil
	}
	ref := recipe.BlobRef{Pack: sc.pack, Offset: at, Length: fr.stored.plain}
	return fr.end, sc.v.Record(Record{Ref: ref, ID: fr.id, Trailer: trailer, End: fr.end})
}

// bad notes what is no sound record and returns where to go on.
func (sc *scanner) bad(at int64, fr frame, headed bool, cause error) (int64, error) {
	d := Damage{Pack: sc.pack, From: at, To: sc.size, Err: cause}
	if headed {
		d.ID = fr.id
		// A damaged body under a sound header: the next record begins where the header says.
		if fr.end < sc.size {
			if _, err := readHeader(sc.r, sc.mark, fr.end); err == nil {
				d.To = fr.end
			}
		}
	}
	if d.To == sc.size {
		next, err := sc.nextHeader(at + 1)
		if err != nil {
			return 0, err
		}
		d.To = next
	}
	if d.To == sc.size {
		unused, err := sc.zeros(at)
		if err != nil || unused {
			return sc.size, err
		}
	}
	if sc.kind == KindCopies { // complete before anything leads there: nothing in it is a write that did not end
		return d.To, sc.damage(d)
	}
	sc.pending = append(sc.pending, d)
	return d.To, nil
}

// zeros tells whether there is nothing but zeros from an offset on.
func (sc *scanner) zeros(from int64) (bool, error) {
	for from < sc.size {
		b := sc.buf[:min(int64(len(sc.buf)), sc.size-from)]
		if err := readFull(sc.r, b, from); err != nil {
			return false, err
		}
		if !allZero(b) {
			return false, nil
		}
		from += int64(len(b))
	}
	return true, nil
}

// settlePending reports those bad stretches that lie where a later record says everything was durable.
func (sc *scanner) settlePending(durable int64) error {
	for len(sc.pending) > 0 && sc.pending[0].From < durable {
		d := sc.pending[0]
		sc.pending = sc.pending[1:]
		if err := sc.damage(d); err != nil {
			return err
		}
	}
	return nil
}

func (sc *scanner) damage(d Damage) error {
	if sc.v.Damage == nil {
		return nil
	}
	return sc.v.Damage(d)
}

// nextHeader returns the offset of the next sound record header of this pack, or the file's size.
func (sc *scanner) nextHeader(from int64) (int64, error) {
	needle := append([]byte(recordMagic), sc.mark[:]...)
	for from < sc.size {
		b := sc.buf[:min(int64(len(sc.buf)), sc.size-from)]
		if err := readFull(sc.r, b, from); err != nil {
			return 0, err
		}
		i := bytes.Index(b, needle)
		switch {
		case i >= 0:
			if _, err := readHeader(sc.r, sc.mark, from+int64(i)); err == nil {
				return from + int64(i), nil
			} else if !errors.Is(err, ErrDamaged) {
				return 0, err
			}
			from += int64(i) + 1
		case len(b) < len(sc.buf):
			return sc.size, nil
		default:
			from += int64(len(b) - len(needle) + 1)
		}
	}
	return sc.size, nil
}
