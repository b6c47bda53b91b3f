package blob

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/internal/state/db"
)

// Contents is what a sealed pack holds, whether or not anybody needs it.
type Contents struct {
	Records int64
	Bodies  int64 // lengths of their bodies, bytes, as references have them
}

// Contents counts what a sealed pack holds, and remembers it in the catalog: it reads the frames of the records once, not
// their bodies. Behind a record that cannot be read the rest counts as one.
func (c *DBCatalog) Contents(ctx context.Context, s *Store, pack int64) (n Contents, err error) {
	r, err := c.Get(ctx, pack)
	if err != nil {
		return n, err
	}
	err = c.db.Read(ctx, func(tx *db.Tx) error {
		_, err := tx.QueryRow("SELECT records, bodies FROM pack WHERE pack = ?", pack).Scan(&n.Records, &n.Bodies)
		return err
	})
	if err != nil || n.Records >= 0 {
		return n, err
	}
	if n, err = s.count(ctx, r); err != nil {
		return n, err
	}
	return n, c.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE pack SET records = ?, bodies = ? WHERE pack = ? AND state <> ?", n.Records, n.Bodies, pack, int64(PackOpen))
		return err
	})
}

// count walks from frame to frame.
func (s *Store) count(ctx context.Context, r Row) (n Contents, err error) {
	h, err := s.handles.get(r.Pack)
	if err != nil {
		return n, fmt.Errorf("blob: pack %d: %w", r.Pack, err)
	}
	defer s.handles.release(h)
	for at := int64(packHeaderSize); at < r.Size; {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		fr, err := readFrame(h.file, r.Size, h.mark, at)
		switch {
		case unreadable(err):
			n.Records++
			n.Bodies += r.Size - at
			return n, nil
		case err != nil:
			return n, fmt.Errorf("blob: pack %d: %w", r.Pack, err)
		}
		n.Records++
		n.Bodies += fr.stored.plain
		at = fr.end
	}
	return n, nil
}

// Written is how much of a pack that this process writes holds records; 0 of any other.
func (s *Store) Written(pack int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.packs[pack]; p != nil {
		return p.end
	}
	return 0
}
