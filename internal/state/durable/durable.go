// Package durable is the one seam through which db and blob acknowledge (DESIGN.md §3, Boundaries).
//
// A state package that has synced its own log calls Wait with the position it reached, before it tells its caller that the
// work is kept. Today Local answers at once, because the local sync is the whole promise; a replicating node will put an
// implementation here that answers when the other box has the position too. The package does no I/O and holds no state.
//
// Failure contract: an error from Wait means "kept here, but not promised": the caller must not acknowledge.
package durable

import (
	"context"
	"fmt"
)

// Log names one of the node's logs.
type Log string

// The logs of a node.
const (
	Packs    Log = "packs" // Segment: pack number; Offset: bytes in that pack
	Database Log = "db"    // Segment: 0; Offset: number of the group commit, counted from 1 in this process
)

// Position is a point in a log; everything before it is meant. Segments are ordered by number.
type Position struct {
	Log     Log
	Segment int64
	Offset  int64
}

func (p Position) String() string { return fmt.Sprintf("%s/%d@%d", p.Log, p.Segment, p.Offset) }

// Waiter tells when a position that the local disk already holds may be acknowledged.
type Waiter interface {
	// Wait returns nil when everything before p is as durable as the node promises. It is called only after the local sync
	// that covers p has returned without error, and from many goroutines at once.
	Wait(ctx context.Context, p Position) error
}

// Local is the promise of a single box: what is synced here is kept.
type Local struct{}

// Wait returns nil.
func (Local) Wait(context.Context, Position) error { return nil }
