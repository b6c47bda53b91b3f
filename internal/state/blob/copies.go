package blob

import (
	"context"
	"fmt"
	"hash/crc32"

	"github.com/postrider/postrider/internal/vfs"
)

// copies is a pack that a compaction writes. Nothing refers to it before it is sealed, so that its records need no sync of
// their own, and its row and its header say that no start replays it.
type copies struct {
	s    *Store
	p    *pack
	end  int64 // behind the last record
	done bool  // all durable and read back

	synced   int64 // everything before was synced
	unsynced int64 // bytes written since
	list     []copied
}

// copied is what the copy of a record must be when it is read back.
type copied struct {
	off      int64
	plain    int64 // length of the body
	plainSum uint32
	trSum    uint32
}

// record is a source: sound, as its frame says.
type record struct {
	frame
	file    vfs.File
	trailer []byte
}

// copySync is how much is written between two syncs of copies, bytes: no sync of mail waits long behind it.
const copySync = 4 << 20

// makeCopies makes an empty pack for copies: row, file and header, name, all durable. A pack is returned also with an
// error once it has its row.
func (s *Store) makeCopies(ctx context.Context) (*copies, error) {
	s.making.Lock()
	defer s.making.Unlock()
	n, err := s.opt.Catalog.Reserve(ctx, KindCopies, s.opt.Node, s.opt.Epoch, s.opt.Clock())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.copying[n] = true
	s.mu.Unlock()
	t := &copies{s: s, p: &pack{number: n}, end: packHeaderSize, synced: packHeaderSize}
	p, err := s.makeFile(n, KindCopies)
	if err != nil {
		return t, err
	}
	t.p = p
	if err := syncNames(s.opt.FS, s.opt.Dir); err != nil {
		return t, s.fail("sync directory", err)
	}
	s.stats.packs.Add(1)
	return t, nil
}

// copied says that the pack is no longer written, sealed or not.
func (s *Store) copied(t *copies) {
	if err := t.p.close(); err != nil {
		s.log.Warn("closing a pack", "pack", t.p.number, "err", err) // everything in it is synced
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.copying, t.p.number)
}

// add appends a copy of the record and returns its offset.
func (t *copies) add(ctx context.Context, c *compaction, r record) (int64, error) {
	h := header{
		mark: t.p.mark, version: formatVersion, flags: r.flags &^ flagStreamed, id: r.id,
		body: r.bodyLen, trailer: r.trailerLen, durable: t.synced,
	}
	foot := footer{body: r.bodyLen, trailer: r.trailerLen, bodySum: r.foot.bodySum, trSum: r.foot.trSum}
	at := t.end + headerSize
	compressed := false
	if c.opt.Compress && r.flags&flagZstd == 0 && r.bodyLen >= minCompress {
		b, sum, ok, err := t.compress(ctx, c, r, at)
		if err != nil {
			return 0, err
		}
		if compressed = ok; ok {
			h.flags |= flagZstd
			h.body, foot.body, foot.bodySum = b.length, b.length, sum
		}
	}
	if !compressed {
		if err := t.copyBody(ctx, c, r, at); err != nil {
			return 0, err
		}
	}
	var head [headerSize]byte
	foot.header = h.put(head[:])
	end := make([]byte, trailerHeadSize, trailerHeadSize+len(r.trailer)+footerSize)
	putTrailerHead(end, len(r.trailer), foot.trSum)
	end = append(append(end, r.trailer...), make([]byte, footerSize)...)
	foot.put(end[len(end)-footerSize:])
	if err := t.write(end, at+h.body); err != nil {
		return 0, err
	}
	if err := t.write(head[:], t.end); err != nil {
		return 0, err
	}
	off := t.end
	t.end = at + h.body + int64(len(end))
	t.list = append(t.list, copied{off: off, plain: r.stored.plain, plainSum: r.plainSum(), trSum: foot.trSum})
	return off, c.step(ctx, t, int64(len(head)+len(end)))
}

// copyBody copies the body as it is stored, in pieces, and sees that it is still what was checked.
func (t *copies) copyBody(ctx context.Context, c *compaction, r record, to int64) error {
	var sum uint32
	for at := int64(0); at < r.bodyLen; {
		if err := c.goOn(ctx); err != nil {
			return err
		}
		b := c.piece[:min(int64(len(c.piece)), r.bodyLen-at)]
		if err := readFull(r.file, b, r.off+headerSize+at); err != nil {
			return badSource(err)
		}
		sum = crc32.Update(sum, castagnoli, b)
		if err := t.write(b, to+at); err != nil {
			return err
		}
		at += int64(len(b))
		if err := c.step(ctx, t, int64(len(b))); err != nil {
			return err
		}
	}
	if sum != r.foot.bodySum {
		return badSource(damaged("body checksum, at the second reading"))
	}
	return nil
}

// step comes after n bytes of a source were copied.
func (c *compaction) step(ctx context.Context, t *copies, n int64) error {
	if err := t.syncSome(); err != nil {
		return err
	}
	return c.pace.wait(ctx, n)
}

func (t *copies) write(b []byte, at int64) error {
	if _, err := t.p.file.WriteAt(b, at); err != nil {
		return t.s.failWrite("write copies", err)
	}
	t.unsynced += int64(len(b))
	return nil
}

// syncSome keeps what is not synced short.
func (t *copies) syncSome() error {
	if t.unsynced < copySync {
		return nil
	}
	return t.sync()
}

func (t *copies) sync() error {
	if err := syncCopies(t.p.file); err != nil {
		return t.s.fail("sync", err)
	}
	t.synced, t.unsynced = t.end, 0
	return nil
}

// finish makes the pack durable, and reads every record back as a reader will.
func (t *copies) finish(ctx context.Context, c *compaction) error {
	if t.done {
		return nil
	}
	if err := t.p.file.Truncate(t.end); err != nil {
		return t.s.failWrite("truncate", err)
	}
	if err := t.sync(); err != nil {
		return err
	}
	for _, r := range t.list {
		if err := c.goOn(ctx); err != nil {
			return err
		}
		if err := t.check(ctx, r, workspace{&c.s.codec, c.piece}); err != nil {
			return fmt.Errorf("the copy at %d in pack %d cannot be read back: %w", r.off, t.p.number, err)
		}
	}
	t.done, t.list = true, nil
	return nil
}

func (t *copies) check(ctx context.Context, r copied, ws workspace) error {
	fr, err := readFrame(t.p.file, t.end, t.p.mark, r.off)
	if err == nil {
		_, err = fr.verify(ctx, t.p.file, ws)
	}
	if err == nil && (fr.foot.trSum != r.trSum || fr.plainSum() != r.plainSum || fr.stored.plain != r.plain) {
		err = damaged("another record")
	}
	return err
}
