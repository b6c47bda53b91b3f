package blob

import (
	"context"
	"errors"
)

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// judgeTail decides about the bad stretches that no later record tells of. A write that was cut off misses something: whole
// sectors, or its end. Where nothing is missing the bytes were all on the disk once and are not what was written, so that is
// damage, whether or not the sync returned: to call it damage costs a line in the log, to call it torn might hide a lost
// message.
func (sc *scanner) judgeTail(ctx context.Context) error {
	var torn []Damage
	for _, d := range sc.pending {
		complete, err := sc.complete(ctx, d)
		if err != nil {
			return err
		}
		if !complete {
			torn = append(torn, d)
		} else if err := sc.damage(d); err != nil {
			return err
		}
	}
	if sc.pending = torn; len(torn) > 0 {
		sc.tail.Torn = torn[0].From
	}
	return nil
}

// complete tells whether every sector of a bad stretch was written, its last byte among them. A body with a sector of zeros
// of its own is taken for one with a gap. A large body is written in pieces: of a sector that two of them share the disk may
// have the first alone, so it counts as two.
func (sc *scanner) complete(ctx context.Context, d Damage) (bool, error) {
	end, err := sc.writtenEnd(d)
	if err != nil || end-d.From < overhead {
		return false, err
	}
	for at := d.From; at < end; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		b := sc.buf[:min(int64(len(sc.buf))-at%sectorSize, end-at)]
		if err := readFull(sc.r, b, at); err != nil {
			return false, err
		}
		for len(b) > 0 {
			n := min(sectorSize-at%sectorSize, pieceSize-(at-d.From)%pieceSize, int64(len(b)))
			if allZero(b[:n]) {
				return false, nil
			}
			at, b = at+n, b[n:]
		}
	}
	var last [1]byte
	err = readFull(sc.r, last[:], end-1)
	return err == nil && last[0] != 0, err
}

// writtenEnd is where the stretch ends: where its header says, if that is sound; else at the next record, or behind the last
// byte that is not zero. 0: it ends early, or nobody knows.
func (sc *scanner) writtenEnd(d Damage) (int64, error) {
	h, err := readHeader(sc.r, sc.mark, d.From)
	switch {
	case err == nil && h.flags&flagStreamed == 0:
		if end := d.From + overhead + h.body + h.trailer; end <= d.To {
			return end, nil
		}
		return 0, nil
	case err != nil && !errors.Is(err, ErrDamaged):
		return 0, err
	}
	end := d.To
	for zeros := true; zeros && end > d.From; {
		b := sc.buf[:min(int64(len(sc.buf)), end-d.From)]
		if err := readFull(sc.r, b, end-int64(len(b))); err != nil {
			return 0, err
		}
		for zeros && len(b) > 0 {
			if zeros = b[len(b)-1] == 0; zeros {
				b, end = b[:len(b)-1], end-1
			}
		}
	}
	// Without its lengths only a footer tells that it is whole.
	if end < d.From+overhead {
		return 0, nil
	}
	var foot [footerSize]byte
	if err := readFull(sc.r, foot[:], end-footerSize); err != nil {
		return 0, err
	}
	if _, err := parseFooter(foot[:]); err != nil {
		return 0, nil
	}
	return end, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
