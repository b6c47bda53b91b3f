package node

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/state/blob"
)

// stats looks at all packs. It changes nothing but what the catalog remembers of their contents.
func (u *upkeep) stats(ctx context.Context, c *config.Config) (s admin.StoreStats, err error) {
	if err := u.blobs.FlushSettled(ctx); err != nil {
		return s, err
	}
	s.Journal = int64(u.blobs.Unsettled())
	left, err := u.store.Leftovers(ctx)
	if err != nil {
		return s, err
	}
	s.Tombstones, s.Expunged, s.Removed = left.Tombstones, left.Kept, left.Accounts
	states := map[blob.State]*admin.PackState{}
	for after := int64(0); ; {
		rows, err := u.catalog.List(ctx, after)
		if err != nil {
			return s, err
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			after = row.Pack
			if row.State == blob.PackGone {
				continue
			}
			p := states[row.State]
			if p == nil {
				p = &admin.PackState{State: row.State.String(), Oldest: row.Created.UTC()}
				states[row.State] = p
			}
			p.Packs++
			p.Bytes += u.sizeOf(row)
			switch row.State {
			case blob.PackOpen:
				live, err := u.store.Live(ctx, row.Pack)
				if err != nil {
					return s, err
				}
				s.Emails += live.Bodies
			case blob.PackSealed:
				if err := u.addUse(ctx, c, &s, row); err != nil {
					return s, err
				}
			}
		}
	}
	s.States = []admin.PackState{}
	for _, st := range []blob.State{blob.PackOpen, blob.PackSealed, blob.PackCondemned, blob.PackDeleted} {
		if p := states[st]; p != nil {
			s.States = append(s.States, *p)
		}
	}
	return s, nil
}

// sizeOf is a pack's length; an open one's is asked of the disk.
func (u *upkeep) sizeOf(row blob.Row) int64 {
	if row.State != blob.PackOpen {
		return row.Size
	}
	return u.blobs.Written(row.Pack)
}

// addUse adds what is needed of a sealed pack.
func (u *upkeep) addUse(ctx context.Context, c *config.Config, s *admin.StoreStats, row blob.Row) error {
	p, err := u.look(ctx, row)
	switch {
	case unreadable(err): // `postrider check` has the words for it; compaction leaves it alone
		s.Live += row.Size
		return nil
	case err != nil:
		return err
	}
	dead := p.dead()
	if row.Settled < row.Size || p.jobs {
		s.InUse++
		dead = 0
	}
	s.Live += row.Size - dead
	s.Dead += dead
	s.Emails += p.live.Bodies
	old := u.now().Sub(row.Created) >= time.Duration(c.Store.CompactAfter)
	if old && dead >= minDead && p.live.Records > 0 && p.share()*100 < float64(c.Store.CompactBelow) {
		s.Candidates++
		s.Frees += dead
	}
	return nil
}
