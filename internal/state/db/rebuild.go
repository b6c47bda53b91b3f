package db

import (
	"context"
	"errors"
	"slices"
)

// Installation returns the installation's id; "" where the database is of none yet.
func (d *DB) Installation(ctx context.Context) (id string, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		_, err := tx.QueryRow("SELECT uuid FROM installation").Scan(&id)
		return err
	})
	return id, err
}

// RestoreBoot makes a new database that of an installation, and of a node that was started so often: what NextBoot gives out
// afterwards was never given out. What the database says already stays, unless it is less.
func (d *DB) RestoreBoot(ctx context.Context, b Boot) error {
	now := d.opt.Now().UnixMicro()
	return d.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec("INSERT INTO installation (one, uuid, created) VALUES (1, ?, ?) ON CONFLICT DO NOTHING", b.Installation, now); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO node (node, boot, started) VALUES (?, ?, ?)
			ON CONFLICT (node) DO UPDATE SET boot = excluded.boot, tick = 0 WHERE node.boot < excluded.boot`, b.Node, int64(b.Count), now)
		return err
	})
}

// Empty removes every row that is not the schema's own, of a database on PostgreSQL that no installation has.
func (d *DB) Empty(ctx context.Context) error {
	return d.Write(ctx, func(tx *Tx) error {
		var one int64
		if found, err := tx.QueryRow("SELECT 1 FROM installation").Scan(&one); err != nil || found {
			return errors.Join(err, errInstalled)
		}
		names, err := tableNames(tx, "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'")
		if err != nil {
			return err
		}
		for _, name := range names {
			if slices.Contains([]string{"schema_migration", "schema_owner", "tenant"}, name) {
				continue
			}
			if _, err := tx.Exec(`TRUNCATE TABLE "` + name + `"`); err != nil {
				return err
			}
		}
		return nil
	})
}

var errInstalled = errors.New("the database is of an installation")

func tableNames(tx *Tx, sql string) (names []string, err error) {
	rows := tx.Query(sql)
	for rows.Next() {
		names = append(names, rows.Text(0))
	}
	return names, rows.Err()
}
