package node

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// upkeep gives the space of what nobody needs any more back to the disk (docs/store.md). A round deletes the files of packs
// that were condemned a day ago, lets go what was expunged long enough ago, condemns packs to which nothing leads, and copies
// what lives in thinly used packs into new ones. Each step may be cut off anywhere and be done again.
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
	full  map[int64]bool // packs of which too much is needed to compact them, until an email of theirs is let go
	below int            // store.compact_below, when full was noted
	clock clockCheck
}

// newUpkeep is of an open state.
func (n *Node) newUpkeep() *upkeep {
	return &upkeep{now: n.opt.Now, passed: sinceStart(), jitter: randomJitter, log: n.log.With(obs.KeyComponent, "upkeep"), db: n.db,
		blobs: n.blobs, catalog: newCatalog(n.db), store: n.store, free: n.space.free, metrics: newUpkeepMetrics(n.metrics),
		turn: make(chan struct{}, 1), bad: map[int64]bool{}, full: map[int64]bool{}}
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
	}{ // What frees space comes first: on a full disk the others end with an error.
		{r.query.Sweep, r.deleteCondemned}, {r.query.Sweep, r.prune}, {r.query.Sweep, r.sealThin}, {r.query.Sweep, r.condemnDead},
		{r.query.Compact, r.compact},
	}
	var all error
	for _, s := range steps {
		if !s.on {
			continue
		}
		err := s.run(ctx)
		all = errors.Join(all, err)
		if ctx.Err() != nil || errors.Is(err, status.ErrFatal) || errors.Is(err, status.ErrShutdown) {
			return all
		}
	}
	return all
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
		}, Thinned: func(pack int64) { delete(r.full, pack) }})
	if p.Accounts > 0 || err != nil { // what else went is not known pack by pack
		clear(r.full)
	}
	r.sum.Let, r.sum.Tombstones, r.sum.Accounts = p.Emails, p.Tombstones, p.Accounts
	return err
}

// sealThin has the pack that is written closed once it is old enough and would be condemned or compacted then: on a quiet
// server it may take years to fill. The next round finds it among the others.
func (r *round) sealThin(ctx context.Context) error {
	than := r.now().Add(-time.Duration(r.set.CompactAfter))
	return r.packsIn(ctx, "packs", blob.PackOpen, func(row blob.Row) error {
		written := r.blobs.Written(row.Pack)
		if written == 0 || !row.Created.Before(than) {
			return nil
		}
		live, err := r.store.Live(ctx, row.Pack)
		if err != nil {
			return err
		}
		needed := live.Bodies + recordWeight*live.Records
		if live.Records > 0 && (written-needed < minDead || needed*100 >= written*int64(r.set.CompactBelow)) {
			return nil
		}
		return r.blobs.SealOlder(ctx, than)
	})
}

// condemnDead condemns packs to which nothing leads.
func (r *round) condemnDead(ctx context.Context) error {
	return r.packsIn(ctx, "packs", blob.PackSealed, func(row blob.Row) error {
		_, err := r.condemn(ctx, row)
		return err
	})
}

// condemn condemns a pack if nothing leads to it. That is asked in the transaction that does it; the look before only
// spares writes.
func (r *round) condemn(ctx context.Context, row blob.Row) (done bool, err error) {
	used, err := r.catalog.Referred(ctx, row.Pack)
	if err != nil || used {
		return false, err
	}
	switch err := r.blobs.Condemn(ctx, row.Pack); {
	case errors.Is(err, blob.ErrInUse):
		return false, nil
	case err != nil:
		return false, err
	}
	delete(r.full, row.Pack)
	r.sum.Condemned++
	r.sum.CondemnedBytes += row.Size
	return true, nil
}

// deleteCondemned deletes the files of packs that were condemned long enough ago. A clock that was set back only makes
// that later.
func (r *round) deleteCondemned(ctx context.Context) error {
	return r.packsIn(ctx, "condemned packs", blob.PackCondemned, func(row blob.Row) error {
		if row.Condemned.Before(row.Created) || row.Condemned.After(r.now().Add(clockSlack)) { // noted by a clock that was wrong
			return r.catalog.Recondemn(ctx, row.Pack, r.now())
		}
		if r.now().Sub(row.Condemned) < blob.DeleteAfter {
			return nil
		}
		switch err := r.blobs.Delete(ctx, row.Pack); {
		case errors.Is(err, blob.ErrInUse):
			r.log.Error("something leads to a condemned pack; it is kept", "pack", row.Pack)
			return nil
		case err != nil: // the next start removes that file, the next round goes on with the others
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
