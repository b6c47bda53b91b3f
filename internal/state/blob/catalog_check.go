package blob

import (
	"context"

	"github.com/postrider/postrider/internal/state/db"
)

// each calls fn for every row, by number. It goes in slices, and fn runs outside of transactions.
func (c *DBCatalog) each(ctx context.Context, fn func(Row) error) error {
	for from := int64(0); ; {
		list, err := c.List(ctx, from)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, r := range list {
			if err := fn(r); err != nil {
				return err
			}
		}
		from = list[len(list)-1].Pack
	}
}

// Referred tells whether an email or a job leads into the pack.
func (c *DBCatalog) Referred(ctx context.Context, pack int64) (used bool, err error) {
	err = c.db.Read(ctx, func(tx *db.Tx) error {
		for _, refers := range c.referrers {
			if used, err = refers(tx, pack); err != nil || used {
				return err
			}
		}
		return nil
	})
	return used, err
}

// force is the repair's: it notes a state that the life of a pack does not lead to, and the length that is left.
func (c *DBCatalog) force(ctx context.Context, pack int64, state State, size int64) error {
	return c.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE pack SET state = ?, size = CASE WHEN size > ? THEN ? ELSE size END,
			settled = CASE WHEN settled > ? THEN ? ELSE settled END WHERE pack = ?`, int64(state), size, size, size, size, pack)
		return err
	})
}

// adopt is the repair's: the catalog has the pack (again), and the next start replays it from r.Settled on.
func (c *DBCatalog) adopt(ctx context.Context, r Row) error {
	return c.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO pack (pack, state, node, epoch, created, size, settled, condemned, kind) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)
			ON CONFLICT (pack) DO UPDATE SET state = excluded.state, size = excluded.size, settled = excluded.settled, condemned = 0,
			kind = excluded.kind`,
			r.Pack, int64(r.State), r.Node, r.Epoch, r.Created.UnixMicro(), r.Size, r.Settled, int64(r.Kind))
		return err
	})
}

// Newest returns the highest number that was given to a pack. A row is durable before its file has a name.
func (c *DBCatalog) Newest(ctx context.Context) (pack int64, err error) {
	err = c.db.Read(ctx, func(tx *db.Tx) error {
		_, err := tx.QueryRow("SELECT COALESCE(MAX(pack), 0) FROM pack").Scan(&pack)
		return err
	})
	return pack, err
}
