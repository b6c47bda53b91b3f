package node

import (
	"context"
	"errors"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/state/blob"
)

func (a *api) Upkeep(ctx context.Context, q admin.UpkeepQuery, each func(admin.UpkeepEvent) error) error {
	for _, p := range q.Packs {
		switch row, err := a.upkeep.catalog.Get(ctx, p); {
		case errors.Is(err, blob.ErrMissing):
			return admin.Errorf(admin.NotFound, "there is no pack %d", p)
		case err != nil:
			return apiError(err)
		case row.State != blob.PackSealed:
			return admin.Errorf(admin.InUse, "pack %d is %s; only sealed packs can be compacted", p, row.State)
		}
	}
	sum, err := a.upkeep.do(ctx, a.Node.Config(), q, func(p admin.CheckProgress) error { return each(admin.UpkeepEvent{Progress: &p}) })
	if err == nil {
		err = each(admin.UpkeepEvent{Summary: &sum})
	}
	if ctx.Err() != nil {
		err = admin.Errorf(admin.Unavailable, "the work was ended before it was done; what is done stays, and the next time goes on")
	}
	return apiError(err)
}

func (a *api) StoreStats(ctx context.Context) (admin.StoreStats, error) {
	s, err := a.upkeep.stats(ctx, a.Node.Config())
	return s, apiError(err)
}
