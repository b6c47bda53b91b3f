package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
)

// upkeep gives the space of what nobody needs any more back to the disk (docs/store.md). A round lets go what was expunged
// long enough ago, condemns packs to which nothing leads, copies what lives in thinly used packs into new ones, and deletes
// the files of packs that were condemned a day ago. Each step may be cut off anywhere and be done again.
type upkeep struct {
	now     func() time.Time
	passed  func() time.Duration // since some moment; the clock on the wall does not move it
	jitter  func() float64       // in [0, 1)
	log     *slog.Logger
	db      *db.DB
	blobs   *blob.Store
	catalog *blob.DBCatalog
	store   *mailstore.Store
	free    func() int64 // space on the disk, bytes
	metrics upkeepMetrics
	service *service // nil: no rounds in the background

	turn  chan struct{}  // capacity 1: one round at a time; who has it has what follows
	bad   map[int64]bool // packs with records that cannot be copied
	clock clockCheck
}

// newUpkeep is of an open state.
func (n *Node) newUpkeep() *upkeep {
	return &upkeep{now: n.opt.Now, passed: sinceStart(), jitter: randomJitter, log: n.log.With(obs.KeyComponent, "upkeep"), db: n.db,
		blobs: n.blobs, catalog: newCatalog(n.db), store: n.store, free: n.space.free, metrics: newUpkeepMetrics(n.metrics),
		turn: make(chan struct{}, 1), bad: map[int64]bool{}}
}

// round is one pass.
type round struct {
	*upkeep
	set     config.Store
	reserve int64 // bytes of the disk that stay free
	query   admin.UpkeepQuery
	tell    func(admin.CheckProgress) error
	sum     admin.UpkeepSummary
	resumed time.Time // when the last pause ended
	commits int64     // of the packs, at the last pause
}

// do runs a round; another one that is under way is waited for.
func (u *upkeep) do(ctx context.Context, c *config.Config, q admin.UpkeepQuery, tell func(admin.CheckProgress) error) (admin.UpkeepSummary, error) {
	select {
	case u.turn <- struct{}{}:
	case <-ctx.Done():
		return admin.UpkeepSummary{}, ctx.Err()
	}
	defer func() { <-u.turn }()
	r := &round{upkeep: u, set: c.Store, reserve: reserveOf(c), query: q, tell: tell}
	began := u.passed()
	r.resumed = u.now()
	err := r.run(ctx)
	r.sum.Seconds = (u.passed() - began).Seconds()
	u.metrics.add(&r.sum)
	return r.sum, err
}

func (r *round) run(ctx context.Context) error {
	if err := r.blobs.FlushSettled(ctx); err != nil { // a pack whose rows lag behind would count as in use
		return err
	}
	if r.checkClock() {
		if err := r.recondemn(ctx); err != nil {
			return err
		}
	}
	steps := []struct {
		on  bool
		run func(context.Context) error
	}{{r.query.Sweep, r.prune}, {r.query.Sweep, r.condemnDead}, {r.query.Compact, r.compact}, {r.query.Sweep, r.deleteCondemned}}
	for _, s := range steps {
		if !s.on {
			continue
		}
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// packsIn calls fn for the packs in a state, by number.
func (r *round) packsIn(ctx context.Context, stage string, state blob.State, fn func(blob.Row) error) error {
	for after := int64(0); ; {
		rows, err := r.catalog.List(ctx, after, state)
		if err != nil || len(rows) == 0 {
			return err
		}
		for i, row := range rows {
			if err := cmp.Or(r.tell(admin.CheckProgress{Stage: stage, Done: int64(i), Total: int64(len(rows))}), r.pause(ctx)); err != nil {
				return err
			}
			if err := fn(row); err != nil {
				return err
			}
			after = row.Pack
		}
	}
}

// prune lets go what was removed long enough ago.
func (r *round) prune(ctx context.Context) error {
	if r.passed() < r.clock.hold {
		return nil
	}
	p, err := r.store.Prune(ctx, mailstore.Keep{Expunged: time.Duration(r.set.KeepExpunged), Tombstones: time.Duration(r.set.KeepTombstones),
		Pause: func(ctx context.Context) error {
			return cmp.Or(r.tell(admin.CheckProgress{Stage: "expunged messages"}), r.pause(ctx))
		}})
	r.sum.Let, r.sum.Tombstones, r.sum.Accounts = p.Emails, p.Tombstones, p.Accounts
	return err
}

// condemnDead condemns packs to which nothing leads.
func (r *round) condemnDead(ctx context.Context) error {
	return r.packsIn(ctx, "packs", blob.PackSealed, func(row blob.Row) error { return r.condemn(ctx, row) })
}

// condemn condemns a pack if nothing leads to it. That is asked in the transaction that does it; the look before only
// spares writes.
func (r *round) condemn(ctx context.Context, row blob.Row) error {
	used, err := r.catalog.Referred(ctx, row.Pack)
	if err != nil || used {
		return err
	}
	switch err := r.blobs.Condemn(ctx, row.Pack); {
	case errors.Is(err, blob.ErrInUse):
		return nil
	case err != nil:
		return err
	}
	r.sum.Condemned++
	r.sum.CondemnedBytes += row.Size
	return nil
}

// deleteCondemned deletes the files of packs that were condemned long enough ago. A clock that was set back only makes
// that later.
func (r *round) deleteCondemned(ctx context.Context) error {
	return r.packsIn(ctx, "condemned packs", blob.PackCondemned, func(row blob.Row) error {
		if row.Condemned.Before(row.Created) { // noted by a clock that was not set yet
			return r.catalog.Recondemn(ctx, row.Pack, r.now())
		}
		if r.now().Sub(row.Condemned) < blob.DeleteAfter {
			return nil
		}
		switch err := r.blobs.Delete(ctx, row.Pack); {
		case errors.Is(err, blob.ErrInUse):
			return nil
		case err != nil:
			return err
		}
		r.sum.Deleted++
		r.sum.DeletedBytes += row.Size
		return nil
	})
}

// recondemn has the day of every condemned pack begin anew.
func (r *round) recondemn(ctx context.Context) error {
	return r.packsIn(ctx, "condemned packs", blob.PackCondemned, func(row blob.Row) error {
		return r.catalog.Recondemn(ctx, row.Pack, r.now())
	})
}

// recordWeight is what a record takes besides its body, about, bytes: frame, envelope, structure.
const recordWeight = 512

// packUse tells how much of a pack is needed.
type packUse struct {
	blob.Row
	live mailstore.Live
	all  blob.Contents
	jobs bool // a job leads there
}

// share is the part of the pack that is needed, from 0 to 1.
func (p *packUse) share() float64 {
	all := p.all.Bodies + recordWeight*p.all.Records
	if all <= 0 {
		return 1
	}
	return min(1, float64(p.live.Bodies+recordWeight*p.live.Records)/float64(all))
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

// minDead is how little a round does not compact a pack for, bytes.
const minDead = 1 << 20

// wanted are the packs to be compacted, those that cost the least first.
func (r *round) wanted(ctx context.Context) (list []packUse, err error) {
	err = r.packsIn(ctx, "looking", blob.PackSealed, func(row blob.Row) error {
		named := slices.Contains(r.query.Packs, row.Pack)
		switch {
		case len(r.query.Packs) > 0 && !named, row.Settled < row.Size, r.bad[row.Pack] && !named:
			return nil
		case !named && !r.query.All && r.now().Sub(row.Created) < time.Duration(r.set.CompactAfter):
			return nil
		}
		p, err := r.look(ctx, row)
		if errors.Is(err, blob.ErrMissing) || errors.Is(err, blob.ErrDamaged) || errors.Is(err, blob.ErrUnsupported) {
			r.log.Warn("pack cannot be looked at; `postrider check` tells more", "pack", row.Pack, obs.KeyError, err)
			return nil
		}
		switch {
		case err != nil:
			return err
		case p.jobs:
			r.sum.InUse++
			return nil
		case p.live.Records == 0, // the sweep's
			!named && !r.query.All && (p.share()*100 >= float64(r.set.CompactBelow) || p.dead() < minDead):
			return nil
		}
		list = append(list, p)
		return nil
	})
	slices.SortStableFunc(list, func(a, b packUse) int { return cmp.Compare(a.share(), b.share()) })
	return list, err
}

const (
	batchBytes = 1 << 30 // of bodies that one call of Compact copies, about
	batchPacks = 256
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
		n, bytes := 0, int64(0)
		for n < len(list) && n < batchPacks && (n == 0 || bytes+list[n].live.Bodies <= batchBytes) {
			bytes += list[n].live.Bodies
			n++
		}
		if err := r.tell(admin.CheckProgress{Stage: "compacting", Done: total - int64(len(list)), Total: total}); err != nil {
			return err
		}
		if r.free()-bytes < r.reserve {
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
	n, err := r.store.MoveReferences(ctx, list)
	r.sum.Emails += n
	r.sum.Records += int64(len(moved))
	if err != nil {
		return err
	}
	for _, p := range packs {
		r.sum.Compacted++
		r.sum.Freed += p.dead()
		if err := r.condemn(ctx, p.Row); err != nil {
			return err
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
