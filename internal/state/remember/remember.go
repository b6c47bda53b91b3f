// Package remember keeps what was learnt about strangers over a restart: entries of a kind, each with a time until which it
// holds. It decides nothing; internal/decide/recall holds them in memory, and this is written behind that.
package remember

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

// Store is the table. It is safe for concurrent use.
type Store struct{ DB *db.DB }

// Entry is a row.
type Entry struct {
	Name, Value string
	Until       time.Time // whole seconds
}

// batch bounds the rows of one transaction, so that mail that is accepted meanwhile does not wait for all of them.
const batch = 500

// Load calls yield for each entry of a kind that holds at now.
func (s *Store) Load(ctx context.Context, kind string, now time.Time, yield func(Entry)) error {
	var all []Entry
	err := s.DB.Read(ctx, func(tx *db.Tx) error {
		all = nil
		rows := tx.Query("SELECT name, value, until FROM remembered WHERE kind = ? AND until > ?", kind, now.Unix())
		for rows.Next() {
			all = append(all, Entry{rows.Text(0), rows.Text(1), time.Unix(rows.Int64(2), 0)})
		}
		return rows.Err()
	})
	for _, e := range all {
		yield(e)
	}
	return err
}

// Change puts entries of a kind and removes others. After an error some of it may be done; all of it may be done again.
func (s *Store) Change(ctx context.Context, kind string, put []Entry, remove []string) error {
	for len(put)+len(remove) > 0 {
		some, gone := put[:min(batch, len(put))], remove[:min(batch, len(remove))]
		put, remove = put[len(some):], remove[len(gone):]
		err := s.DB.Write(ctx, func(tx *db.Tx) error {
			for _, e := range some {
				if _, err := tx.Exec(`INSERT INTO remembered (kind, name, value, until) VALUES (?, ?, ?, ?)
					ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value, until = excluded.until`,
					kind, e.Name, e.Value, e.Until.Unix()); err != nil {
					return err
				}
			}
			for _, name := range gone {
				if _, err := tx.Exec("DELETE FROM remembered WHERE kind = ? AND name = ?", kind, name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Prune removes what no longer holds at now, of all kinds.
func (s *Store) Prune(ctx context.Context, now time.Time) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("DELETE FROM remembered WHERE until <= ?", now.Unix())
		return err
	})
}
