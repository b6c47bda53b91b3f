package db

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Boot identifies one start of one node.
type Boot struct {
	Installation string // UUID, the same for ever
	Node         uint16
	Count        uint64 // 1 at the first start; never used twice, also not after a crash
}

// NextBoot counts a start of the node and returns once that is durable, so that queue ids made from it are never made
// again. It needs the tables of schema migration 0005.
func (d *DB) NextBoot(ctx context.Context, node uint16) (Boot, error) {
	b := Boot{Node: node}
	fresh, err := uuid.NewRandom()
	if err != nil {
		return b, fmt.Errorf("db: installation id: %w", err)
	}
	now := d.opt.Now().UnixMicro()
	err = d.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec("INSERT INTO installation (one, uuid, created) VALUES (1, ?, ?) ON CONFLICT DO NOTHING",
			fresh.String(), now); err != nil {
			return err
		}
		if _, err := tx.QueryRow("SELECT uuid FROM installation").Scan(&b.Installation); err != nil {
			return err
		}
		_, err := tx.QueryRow(`INSERT INTO node (node, boot, started) VALUES (?, 1, ?)
			ON CONFLICT (node) DO UPDATE SET boot = node.boot + 1, started = excluded.started RETURNING boot`,
			node, now).Scan(&b.Count)
		return err
	})
	return b, err
}
