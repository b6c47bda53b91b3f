package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
)

// recordWeight is what a record takes besides its body, about, bytes: frame, envelope, structure.
const recordWeight = 512

// packUse tells how much of a pack is needed.
type packUse struct {
	blob.Row
	live mailstore.Live
	all  blob.Contents
	jobs bool // a job leads there
}

// needed is what copies of all that is needed take, about, bytes.
func (p *packUse) needed() int64 { return p.live.Bodies + recordWeight*p.live.Records }

// share is the part of the pack that is needed, from 0 to 1.
func (p *packUse) share() float64 {
	all := p.all.Bodies + recordWeight*p.all.Records
	if all <= 0 {
		return 1
	}
	return min(1, float64(p.needed())/float64(all))
}

// dead is what compaction frees, bytes.
func (p *packUse) dead() int64 { return int64(float64(p.Size) * (1 - p.share())) }

// look finds out about a pack.
func (u *upkeep) look(ctx context.Context, row blob.Row) (p packUse, err error) {
	p.Row = row
	if p.live, err = u.store.Live(ctx, row.Pack); err != nil {
		return p, err
	}
	if p.all, err = u.catalog.Contents(ctx, u.blobs, row.Pack); err != nil {
		return p, err
	}
	err = u.db.Read(ctx, func(tx *db.Tx) error {
		p.jobs, err = queue.RefersTo(tx, row.Pack)
		return err
	})
	return p, err
}

// unreadable tells whether err is a pack's: others may do better.
func unreadable(err error) bool {
	return errors.Is(err, blob.ErrMissing) || errors.Is(err, blob.ErrDamaged) || errors.Is(err, blob.ErrUnsupported) || errors.Is(err, syscall.EIO)
}

// minDead is how little a round does not compact a pack for, bytes.
const minDead = 1 << 20

// wanted are the packs to be compacted, those that cost the least first. A pack that is needed is looked at again only when
// an email of it was let go: what is needed of ten million messages is an index of hundreds of megabytes.
func (r *round) wanted(ctx context.Context) (list []packUse, err error) {
	if r.below != r.set.CompactBelow {
		clear(r.full)
		r.below = r.set.CompactBelow
	}
	err = r.packsIn(ctx, "looking", blob.PackSealed, func(row blob.Row) error {
		named := slices.Contains(r.query.Packs, row.Pack)
		switch {
		case len(r.query.Packs) > 0 && !named, r.bad[row.Pack] && !named:
			return nil
		case row.Settled < row.Size:
			r.sum.InUse++
			return nil
		case !r.asked(row.Pack) && (r.full[row.Pack] || r.now().Sub(row.Created) < time.Duration(r.set.CompactAfter)):
			return nil
		}
		p, err := r.look(ctx, row)
		if unreadable(err) {
			r.log.Warn("pack cannot be looked at; `postrider check` tells more", "pack", row.Pack, obs.KeyError, err)
			return nil
		}
		switch {
		case err != nil:
			return err
		case p.jobs:
			r.sum.InUse++
			return nil
		case p.live.Records == 0: // the sweep's
			return nil
		case !r.asked(row.Pack) && (p.share()*100 >= float64(r.set.CompactBelow) || p.dead() < minDead):
			r.full[row.Pack] = true
			return nil
		}
		list = append(list, p)
		return nil
	})
	slices.SortStableFunc(list, func(a, b packUse) int { return cmp.Compare(a.share(), b.share()) })
	return list, err
}

// asked tells whether the operator wants the pack to be compacted, however much of it is needed.
func (r *round) asked(pack int64) bool { return r.query.All || slices.Contains(r.query.Packs, pack) }

const (
	batchBytes = 1 << 30 // of bodies that one call of Compact copies, about
	batchPacks = 256
	moveAtOnce = 100 // records whose references move between two rests
)

// compact copies what lives in the packs wanted, a batch at a time, leads the emails there, and condemns the packs.
func (r *round) compact(ctx context.Context) error {
	if len(r.query.Packs) == 0 && !r.query.All && r.set.CompactBelow == 0 {
		return nil
	}
	list, err := r.wanted(ctx)
	if err != nil {
		return err
	}
	total := int64(len(list))
	for len(list) > 0 {
		n, bytes, room := 0, int64(0), r.free()-r.reserve
		for n < len(list) && n < batchPacks && (n == 0 || bytes+list[n].needed() <= min(batchBytes, room)) {
			bytes += list[n].needed()
			n++
		}
		if err := r.tell(admin.CheckProgress{Stage: "compacting", Done: total - int64(len(list)), Total: total}); err != nil {
			return err
		}
		if bytes > room {
			return status.ErrNoSpace.With(fmt.Sprintf("compaction needs %d bytes of free space besides limits.disk_reserve for a while", bytes), nil)
		}
		if err := r.compactBatch(ctx, list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func (r *round) compactBatch(ctx context.Context, packs []packUse) error {
	var live []recipe.BlobRef
	for _, p := range packs {
		refs, err := r.store.Records(ctx, p.Pack)
		if err != nil {
			return err
		}
		live = append(live, refs...)
	}
	moved, err := r.blobs.Compact(ctx, live, r.options())
	if errors.Is(err, blob.ErrInUse) && len(packs) > 1 { // one of them: each on its own
		for i := range packs {
			if err := r.compactBatch(ctx, packs[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if errors.Is(err, blob.ErrInUse) {
		r.sum.InUse++
		return nil
	}
	if err != nil {
		return err
	}
	list := make([]mailstore.Moved, len(moved))
	for i, m := range moved {
		list[i] = mailstore.Moved{From: m.From, To: m.To}
		r.sum.Bytes += m.From.Length
	}
	// From here on a stop in the middle leaves some emails leading to the old packs: the next round goes on with these.
	for some := range slices.Chunk(list, moveAtOnce) {
		n, err := r.store.MoveReferences(ctx, some)
		r.sum.Emails += n
		if err := cmp.Or(err, r.pause(ctx)); err != nil {
			return err
		}
		r.sum.Records += int64(len(some))
	}
	for _, p := range packs {
		r.sum.Compacted++
		switch done, err := r.condemn(ctx, p.Row); {
		case err != nil:
			return err
		case done:
			r.sum.Freed += p.dead()
		}
	}
	return nil
}

func (r *round) options() blob.CompactOptions {
	o := blob.CompactOptions{Compress: r.set.Compress, Rate: int64(r.set.CompactRate), Damaged: func(ref recipe.BlobRef, err error) error {
		r.log.Error("a message's record cannot be copied; its pack stays, and `postrider check` tells whose it is",
			"pack", ref.Pack, "offset", ref.Offset, obs.KeyError, err)
		r.bad[ref.Pack] = true
		r.sum.Damaged++
		return nil
	}}
	if r.query.Now {
		o.Rate = 0
	}
	return o
}
