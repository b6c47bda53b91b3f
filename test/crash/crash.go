// Package crash proves that nothing acknowledged is lost in a power cut. It
// runs a system under strace, judges the order of its writes, syncs and
// acknowledgements (test/crash/order), and rebuilds its data directory as power
// cuts would have left it, for the system to recover (test/crash/replay).
//
// What the system under test must give is small: its data directory, the
// promises of each kind of acknowledgement, and a function that recovers
// directories and lists the messages in them (System). The clients keep a
// ledger.Book. Nothing here knows the system's protocols or formats, SQLite's
// WAL aside.
//
// The order of use:
//
//	t, err := crash.Start(ctx, traceFile, program, args...) // ready: when the program says so on t.Stdout
//	… clients work, each reply entered into the Book …
//	err = t.Stop()
//	run, err := crash.Load(traceFile, system, book.Acks())
//	report, err := run.Order()
//	cuts, err := run.PowerCuts(Plan{Cuts: 50, Seed: 1, Dir: tmp})
//
// Files: crash.go (a run and its order), powercut.go (the cuts), strace.go (a
// traced program).
package crash

import (
	"fmt"
	"os"

	"github.com/postrider/postrider/test/crash/disk"
	"github.com/postrider/postrider/test/crash/ledger"
	"github.com/postrider/postrider/test/crash/order"
	"github.com/postrider/postrider/test/crash/trace"
)

// System is what is under test.
type System struct {
	// Root is the data directory, absolute and without symbolic links.
	Root string
	// Initial is a copy of Root from before the trace; "" if it was empty.
	Initial string
	// Rules say what each kind of acknowledgement promises.
	Rules map[string][]order.Promise
	// List recovers each directory as a start would and returns the IDs
	// (ledger.Ack.ID) of the messages a user would find there, in the order of
	// dirs, a message twice if it is there twice. A directory that cannot be
	// recovered is an error in its Listing.
	List func(dirs []string) ([]Listing, error)
}

// Listing is what was found in one directory.
type Listing struct {
	IDs []string
	Err error
}

// Run is one traced run, ready to be judged.
type Run struct {
	System  System
	Events  []trace.Event
	History *disk.History
	Acks    []ledger.Ack
}

// Load reads the trace of a run.
func Load(traceFile string, s System, acks []ledger.Ack) (*Run, error) {
	f, err := os.Open(traceFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &Run{System: s, Acks: acks}
	err = trace.Parse(f, func(e trace.Event) error {
		r.Events = append(r.Events, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", traceFile, err)
	}
	r.History, err = disk.Build(r.Events, s.Root, s.Initial)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", traceFile, err)
	}
	return r, nil
}

// Order judges the order; the Report's Err says whether it is proven.
func (r *Run) Order() (*order.Report, error) {
	return order.Check(order.Input{Events: r.Events, History: r.History, Acks: r.Acks, Rules: r.System.Rules})
}
