package blob

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

// Recondemn has the time of a condemned pack begin anew: the clock that noted it was wrong.
func (c *DBCatalog) Recondemn(ctx context.Context, pack int64, at time.Time) error {
	err := c.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE pack SET condemned = ? WHERE pack = ? AND state = ?", at.UnixMicro(), pack, int64(PackCondemned))
		return err
	})
	if err != nil {
		return fmt.Errorf("condemn pack %d anew: %w", pack, err)
	}
	return nil
}
