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

// forgetSlice bounds the ids that one transaction of Forget looks at.
const forgetSlice = 1000

// Forget removes the ledger's rows of the ids before an id, but for those that keep is true for: the others are gone for
// good, journal included. keep is asked in the transaction that deletes. It goes in slices, so that deliveries pass
// between them.
func (s *Store) Forget(ctx context.Context, before queueid.ID, keep func(queueid.ID) bool) error {
	var from queueid.ID
	for more := true; more; {
		err := s.write(ctx, func(t *txn) error {
			var ids []queueid.ID
			rows := t.Query("SELECT DISTINCT queue_id FROM delivered WHERE queue_id > ? AND queue_id < ? ORDER BY queue_id LIMIT ?",
				from[:], before[:], forgetSlice)
			for rows.Next() {
				var id queueid.ID
				copy(id[:], rows.Bytes(0))
				ids = append(ids, id)
			}
			if rows.Err() != nil {
				return rows.Err()
			}
			if err := t.forget(ids, keep); err != nil {
				return err
			}
			if more = len(ids) == forgetSlice; more {
				from = ids[forgetSlice-1]
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forget deletes the rows of ids (ascending), one statement for each run of neighbours.
func (t *txn) forget(ids []queueid.ID, keep func(queueid.ID) bool) error {
	for i := 0; i < len(ids); i++ {
		first := i
		for i < len(ids) && !keep(ids[i]) {
			i++
		}
		if i == first {
			continue
		}
		if _, err := t.Exec("DELETE FROM delivered WHERE queue_id >= ? AND queue_id <= ?", ids[first][:], ids[i-1][:]); err != nil {
			return err
		}
	}
	return nil
}

// NewestDelivered is the highest id in the ledger; zero when it is empty.
func (s *Store) NewestDelivered(ctx context.Context) (id queueid.ID, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var b []byte
		_, err := tx.QueryRow("SELECT queue_id FROM delivered ORDER BY queue_id DESC LIMIT 1").Scan(&b)
		copy(id[:], b)
		return err
	})
	return id, err
}

// Unused counts the ids before an id that Forget with the same arguments would remove.
func (s *Store) Unused(ctx context.Context, before queueid.ID, keep func(queueid.ID) bool) (n int, err error) {
	var from queueid.ID
	for more := true; more; {
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			rows := tx.Query("SELECT DISTINCT queue_id FROM delivered WHERE queue_id > ? AND queue_id < ? ORDER BY queue_id LIMIT ?",
				from[:], before[:], forgetSlice)
			seen := 0
			for rows.Next() {
				copy(from[:], rows.Bytes(0))
				if seen++; !keep(from) {
					n++
				}
			}
			more = seen == forgetSlice
			return rows.Err()
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
