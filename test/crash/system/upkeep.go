package system

import (
	"context"
	"path/filepath"

	"github.com/postrider/postrider/internal/admin"
)

// Upkeep has the server at work in a data directory compact every sealed pack and sweep, as `postrider store compact --all`
// and `postrider store sweep` do, and returns what it did.
func Upkeep(ctx context.Context, dir string) (sum admin.UpkeepSummary, err error) {
	c, err := admin.Dial(ctx, filepath.Join(dir, "run"))
	if err != nil {
		return sum, err
	}
	defer c.Close()
	err = c.Upkeep(ctx, admin.UpkeepQuery{Sweep: true, Compact: true, All: true, Now: true}, func(e admin.UpkeepEvent) error {
		if e.Summary != nil {
			sum = *e.Summary
		}
		return nil
	})
	return sum, err
}
