package mailstore

import (
	"context"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
)

// Delivered tells whether the ledger has a delivery.
func (s *Store) Delivered(ctx context.Context, id queueid.ID, recipient int) (done bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var one int64
		done, err = tx.QueryRow("SELECT 1 FROM delivered WHERE queue_id = ? AND recipient_no = ?", id[:], recipient).Scan(&one)
		return err
	})
	return done, err
}

// forgetSlice bounds the rows that one transaction of Forget deletes.
const forgetSlice = 2000

// Forget removes the ledger's rows of the ids in [from, to): those jobs are gone for good, journal included. It goes in
// slices, so that deliveries pass between them.
func (s *Store) Forget(ctx context.Context, from, to queueid.ID) error {
	for {
		var n int64
		err := s.write(ctx, func(t *txn) (err error) {
			// The bound is the forgetSlice-th id, so that the delete is one range of the primary key.
			bound := to[:]
			var b []byte
			found, err := t.QueryRow("SELECT queue_id FROM delivered WHERE queue_id >= ? AND queue_id < ? ORDER BY queue_id LIMIT 1 OFFSET ?",
				from[:], to[:], forgetSlice).Scan(&b)
			if err != nil {
				return err
			}
			if found {
				bound = b
			}
			n, err = t.Exec("DELETE FROM delivered WHERE queue_id >= ? AND queue_id < ?", from[:], bound)
			if !found {
				n = 0
			}
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}
