package limits

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

// Count is how much of a measure somebody has used up.
type Count struct {
	Measure, Who string
	Started      time.Time // of the window of Now
	Now, Before  int64     // in this window, and in the one before
}

// Counts returns all counts.
func (s *Store) Counts(ctx context.Context) (list []Count, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		list = nil
		rows := tx.Query("SELECT measure, who, started, count_now, count_before FROM rate_count")
		for rows.Next() {
			list = append(list, Count{rows.Text(0), rows.Text(1), time.UnixMicro(rows.Int64(2)).UTC(), rows.Int64(3), rows.Int64(4)})
		}
		return rows.Err()
	})
	return list, err
}

// SetCounts replaces all counts, or changes nothing.
func (s *Store) SetCounts(ctx context.Context, list []Count) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM rate_count"); err != nil {
			return err
		}
		for _, c := range list {
			if _, err := tx.Exec("INSERT INTO rate_count (measure, who, started, count_now, count_before) VALUES (?, ?, ?, ?, ?)",
				c.Measure, c.Who, c.Started.UnixMicro(), c.Now, c.Before); err != nil {
				return err
			}
		}
		return nil
	})
}
