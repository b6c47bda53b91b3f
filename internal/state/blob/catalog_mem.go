package blob

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MemoryCatalog is a Catalog for tests.
type MemoryCatalog struct {
	mu         sync.Mutex
	rows       []Row // row i is pack i+1
	referenced func(pack int64) bool
}

// NewMemoryCatalog makes an empty catalog. referenced tells whether something refers to a pack; nil: nothing ever does.
func NewMemoryCatalog(referenced func(pack int64) bool) *MemoryCatalog {
	if referenced == nil {
		referenced = func(int64) bool { return false }
	}
	return &MemoryCatalog{referenced: referenced}
}

// Clone returns a copy as of now, for a crash.
func (c *MemoryCatalog) Clone() *MemoryCatalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &MemoryCatalog{rows: slices.Clone(c.rows), referenced: c.referenced}
}

// Reserve implements Catalog.
func (c *MemoryCatalog) Reserve(_ context.Context, kind Kind, node uint32, epoch int64, at time.Time) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Row{Pack: int64(len(c.rows)) + 1, State: PackOpen, Kind: kind, Node: node, Epoch: epoch, Created: at}
	c.rows = append(c.rows, r)
	return r.Pack, nil
}

// change runs fn on the row under the lock.
func (c *MemoryCatalog) change(pack int64, fn func(*Row) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pack < 1 || pack > int64(len(c.rows)) {
		return fmt.Errorf("pack %d: %w", pack, ErrMissing)
	}
	return fn(&c.rows[pack-1])
}

// Seal implements Catalog.
func (c *MemoryCatalog) Seal(_ context.Context, pack, size int64) error {
	return c.change(pack, func(r *Row) error {
		if r.State == PackOpen {
			r.State, r.Size = PackSealed, size
			if r.Kind == KindCopies {
				r.Settled = size
			}
		}
		return nil
	})
}

// Settle implements Catalog.
func (c *MemoryCatalog) Settle(_ context.Context, positions []Settled) error {
	for _, p := range positions {
		err := c.change(p.Pack, func(r *Row) error {
			r.Settled = max(r.Settled, p.Offset)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Condemn implements Catalog.
func (c *MemoryCatalog) Condemn(_ context.Context, pack int64, at time.Time) error {
	return c.change(pack, func(r *Row) error {
		if r.State != PackSealed || r.Unsettled() || c.referenced(pack) {
			return fmt.Errorf("condemn pack %d: %w", pack, ErrInUse)
		}
		r.State, r.Condemned = PackCondemned, at
		return nil
	})
}

// Delete implements Catalog.
func (c *MemoryCatalog) Delete(_ context.Context, pack int64, condemnedBefore time.Time) error {
	return c.change(pack, func(r *Row) error {
		if r.State != PackCondemned || r.Condemned.After(condemnedBefore) || c.referenced(pack) {
			return fmt.Errorf("delete pack %d: %w", pack, ErrInUse)
		}
		r.State = PackDeleted
		return nil
	})
}

// Gone implements Catalog.
func (c *MemoryCatalog) Gone(_ context.Context, pack int64) error {
	return c.change(pack, func(r *Row) error {
		if r.State == PackOpen || r.State == PackDeleted {
			r.State = PackGone
		}
		return nil
	})
}

// Unfinished implements Catalog.
func (c *MemoryCatalog) Unfinished(_ context.Context, node uint32) ([]Row, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Row
	for _, r := range c.rows {
		if r.Node == node && (r.State == PackOpen || r.State == PackDeleted || r.Unsettled()) {
			out = append(out, r)
		}
	}
	return out, nil
}

// List implements Catalog.
func (c *MemoryCatalog) List(_ context.Context, after int64, states ...State) (out []Row, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.rows {
		if r.Pack > after && (len(states) == 0 || slices.Contains(states, r.State)) && len(out) < ListMax {
			out = append(out, r)
		}
	}
	return out, nil
}

// Get implements Catalog.
func (c *MemoryCatalog) Get(_ context.Context, pack int64) (row Row, err error) {
	err = c.change(pack, func(r *Row) error { row = *r; return nil })
	return row, err
}
