package blob

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// State of a pack. It only moves forward.
type State int

// The states.
const (
	PackOpen      State = iota + 1 // its writer appends, or stopped without sealing it
	PackSealed                     // complete
	PackCondemned                  // nothing refers to it and nothing may any more
	PackDeleted                    // its file may go
	PackGone                       // its file has gone; the row stays, so that the number is never used again
)

func (s State) String() string {
	switch s {
	case PackOpen:
		return "open"
	case PackSealed:
		return "sealed"
	case PackCondemned:
		return "condemned"
	case PackDeleted:
		return "deleted"
	case PackGone:
		return "gone"
	}
	return fmt.Sprintf("state(%d)", int(s))
}

// Kind of a pack.
type Kind int

// The kinds.
const (
	KindJournal Kind = iota // records as they were accepted; a start replays what is not settled
	KindCopies              // copies that Compact made; a start never replays them, and removes a pack that was not sealed
)

// Row is what the catalog knows of a pack.
type Row struct {
	Pack      int64 // number, ≥ 1
	State     State
	Kind      Kind
	Node      uint32 // that writes it
	Epoch     int64  // of that node
	Created   time.Time
	Size      int64     // of the file, bytes; 0 until sealed
	Settled   int64     // everything before this offset needs no replay
	Condemned time.Time // zero until condemned
}

// Unsettled tells whether a start must replay the pack.
func (r Row) Unsettled() bool { return r.State == PackSealed && r.Settled < r.Size }

// Settled is a position to be noted.
type Settled struct {
	Pack   int64
	Offset int64 // bytes
}

// ListMax is how many rows one call of Catalog.List returns at most.
const ListMax = 1000

// ErrInUse is the catalog's and the store's refusal to condemn or delete a pack that something refers to or that is not in
// the state for it.
var ErrInUse = errors.New("pack is in use")

// ErrCondemned refuses a new reference into a pack that is about to go.
var ErrCondemned = errors.New("pack is condemned")

// Catalog holds the packs' rows. Each method is atomic and durable when it returns nil. Its errors are those of
// package status where a cause is known (status.ErrNoSpace); others count as temporary.
type Catalog interface {
	// Reserve makes the row of a new pack, open, with a number never given before.
	Reserve(ctx context.Context, kind Kind, node uint32, epoch int64, at time.Time) (int64, error)
	// Seal: open → sealed, with the file's size. Copies are settled by it. Repeating it is no error.
	Seal(ctx context.Context, pack, size int64) error
	// Settle moves settled positions forward; one that lies behind the row's is passed over.
	Settle(ctx context.Context, positions []Settled) error
	// Condemn: sealed → condemned if nothing refers to the pack, looked up in the same transaction; else ErrInUse.
	Condemn(ctx context.Context, pack int64, at time.Time) error
	// Delete: condemned → deleted, if it was condemned at or before the given time and a second look finds no reference;
	// else ErrInUse.
	Delete(ctx context.Context, pack int64, condemnedBefore time.Time) error
	// Gone notes that the pack's file is no more: deleted → gone, or open → gone for one that never held a record.
	Gone(ctx context.Context, pack int64) error
	// Unfinished lists what a start of the node must look at: packs open, sealed but not settled, or deleted. By number.
	Unfinished(ctx context.Context, node uint32) ([]Row, error)
	// List returns packs in one of the states (none given: in any) with numbers above after, by number, ListMax at most.
	List(ctx context.Context, after int64, states ...State) ([]Row, error)
	// Get returns one row; ErrMissing if there is none.
	Get(ctx context.Context, pack int64) (Row, error)
}
