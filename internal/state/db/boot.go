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
			ON CONFLICT (node) DO UPDATE SET boot = node.boot + 1, tick = 0, started = excluded.started RETURNING boot`,
			node, now).Scan(&b.Count)
		return err
	})
	return b, err
}

// Age is how far the database of a node has come: its start, and the tick since then. Of two, the later one is the greater.
type Age struct{ Boot, Tick int64 }

// Before tells whether a is the earlier.
func (a Age) Before(b Age) bool { return a.Boot < b.Boot || a.Boot == b.Boot && a.Tick < b.Tick }

// Age returns how far the node has come; zero where it was never started.
func (d *DB) Age(ctx context.Context, node uint16) (a Age, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		_, err := tx.QueryRow("SELECT boot, tick FROM node WHERE node = ?", node).Scan(&a.Boot, &a.Tick)
		return err
	})
	return a, err
}

// Tick counts on, and returns once that is durable.
func (d *DB) Tick(ctx context.Context, node uint16) (a Age, err error) {
	err = d.Write(ctx, func(tx *Tx) error {
		_, err := tx.QueryRow("UPDATE node SET tick = tick + 1 WHERE node = ? RETURNING boot, tick", node).Scan(&a.Boot, &a.Tick)
		return err
	})
	return a, err
}
