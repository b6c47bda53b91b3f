// Package order judges, from a trace, whether everything an acknowledgement
// promised was durable before it left.
//
// The rule, per acknowledgement and per Promise of its kind:
//
//   - every write to a promised file that carries the message and began before
//     the acknowledgement's socket write began is covered by a sync of that file
//     that began after the write had returned, and returned before the
//     acknowledgement began;
//   - so is, by syncs of the directories, each directory entry on the path to
//     that file that was made during the trace;
//   - for a WAL: the transaction that first wrote the row has written its
//     commit frame, and all its writes are covered so.
//
// A promise of what leaves no mark is judged by the transactions since the
// command was sent (Promise.Since).
//
// Finding no write that carries the message is a violation, as is a reply that
// the trace does not contain, and an empty ledger: a check that cannot fail is
// a defect. The clock is never looked at (see package trace).
//
// Database judges SQLite's own order besides: log before file, file before the
// log starts over.
//
// Files: order.go (the values), check.go (the judge), wal.go (transactions in a
// write-ahead log of SQLite), database.go (its checkpoints, and what it holds
// after each commit).
package order

import (
	"fmt"
	"strings"

	"github.com/postrider/postrider/test/crash/disk"
	"github.com/postrider/postrider/test/crash/ledger"
	"github.com/postrider/postrider/test/crash/trace"
)

// Promise names files in which the message is durable once acknowledged.
type Promise struct {
	Name  string                // in reports: "pack", "wal"
	Files func(rel string) bool // paths relative to the data directory
	WAL   bool                  // the files are SQLite write-ahead logs
	// Since, for what leaves no mark (a row that is deleted): instead of the writes that carry one, some transaction of
	// the WAL begun since Ack.Before was sent is judged. It proves what it says only while nobody else writes.
	Since bool
	// Mark, if set, gives the mark to look for here instead of Ack.Marks, when
	// the form on this file differs (in a WAL a token in a row, say).
	Mark func(ledger.Ack) []string
}

// Input is what Check judges.
type Input struct {
	Events  []trace.Event
	History *disk.History
	Acks    []ledger.Ack
	Rules   map[string][]Promise // by Ack.Kind; a kind without rules is a violation
}

// Violation is one broken promise.
type Violation struct {
	Ack     string
	Promise string
	Text    string
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s: %s", v.Ack, v.Promise, v.Text) }

// Report says what was judged and what was found wrong.
type Report struct {
	Acks       int // acknowledgements found in the trace
	Writes     int // writes on which one of them relied
	Entries    int // directory entries likewise
	Syncs      int // distinct syncs that covered one of these
	Violations []Violation
}

// String is the counts and at most ten violations.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d acknowledgements, %d writes, %d directory entries, %d syncs judged; %d violations",
		r.Acks, r.Writes, r.Entries, r.Syncs, len(r.Violations))
	for i, v := range r.Violations {
		if i == 10 {
			b.WriteString("\n  …")
			break
		}
		b.WriteString("\n  " + v.String())
	}
	return b.String()
}

// Err is nil if there was something to judge and nothing was wrong.
func (r *Report) Err() error {
	if len(r.Violations) > 0 || r.Acks == 0 || r.Writes == 0 {
		return fmt.Errorf("order proof: %s", r)
	}
	return nil
}
