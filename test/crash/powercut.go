package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/test/crash/ledger"
	"github.com/postrider/postrider/test/crash/replay"
)

// Plan says how many power cuts, drawn from which seed. Dir is where the
// directories are built; those in which something was wrong stay there.
type Plan struct {
	Cuts int
	Seed uint64
	Dir  string
}

// Loss is one cut after which the promise did not hold.
type Loss struct {
	Cut     replay.Cut
	Dir     string
	Missing []string // acknowledged, not there
	Double  []string // there more than once
	Back    []string // acknowledged as gone, and there
	Err     error    // it could not be recovered at all
}

// CutReport says what was tried and what was lost.
type CutReport struct {
	Cuts   int
	Owed   int // acknowledged messages (names, flags) looked for, over all cuts
	Gone   int // those that must not be there, likewise
	Losses []Loss
}

// String is the counts and at most five losses.
func (r *CutReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d power cuts, %d acknowledged facts looked for and %d that must be gone; %d cuts with a loss", r.Cuts, r.Owed, r.Gone, len(r.Losses))
	for i, l := range r.Losses {
		if i == 5 {
			b.WriteString("\n  …")
			break
		}
		fmt.Fprintf(&b, "\n  line %d, seed %d: %d missing %.80q, %d double %.80q, %d back %.80q", l.Cut.Instant, l.Cut.Seed,
			len(l.Missing), l.Missing, len(l.Double), l.Double, len(l.Back), l.Back)
		if l.Err != nil {
			fmt.Fprintf(&b, ", error: %.400s", l.Err)
		}
	}
	return b.String()
}

// Err is nil if there was something to lose and nothing was lost.
func (r *CutReport) Err() error {
	if len(r.Losses) > 0 || r.Owed == 0 {
		return fmt.Errorf("power cuts: %s", r)
	}
	return nil
}

// PowerCuts rebuilds the directory after each cut of the plan, has the system
// recover it, and looks for every message that had been acknowledged by then.
func (r *Run) PowerCuts(p Plan) (*CutReport, error) {
	facts, err := r.Facts()
	if err != nil {
		return nil, err
	}
	var cuts []replay.Cut
	var dirs []string
	for i, instant := range replay.Instants(r.History, facts.at, p.Cuts, p.Seed) {
		c := replay.Cut{Instant: instant, Seed: p.Seed + uint64(i)}
		dir := filepath.Join(p.Dir, fmt.Sprintf("cut-%03d-line-%d", i, instant))
		if err := replay.Replay(r.History, r.System.Initial, c, dir); err != nil {
			return nil, err
		}
		cuts, dirs = append(cuts, c), append(dirs, dir)
	}
	found, err := r.System.List(dirs)
	if err != nil {
		return nil, err
	}
	if len(found) != len(dirs) {
		return nil, fmt.Errorf("%d listings of %d directories", len(found), len(dirs))
	}
	report := &CutReport{Cuts: len(cuts)}
	for i, c := range cuts {
		owed, gone := facts.At(c.Instant)
		report.Owed += len(owed)
		report.Gone += len(gone)
		l := Loss{Cut: c, Dir: dirs[i], Err: found[i].Err}
		l.compare(owed, gone, found[i].IDs)
		if l.Err != nil || len(l.Missing)+len(l.Double)+len(l.Back) > 0 {
			report.Losses = append(report.Losses, l)
		} else if err := os.RemoveAll(dirs[i]); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// Facts is what the acknowledgements promise, by instant.
type Facts struct {
	acks       []ledger.Ack
	at, before []int64 // lines, by acknowledgement
}

// Facts finds the acknowledgements in the trace. One that is not there, or whose command cannot be told from what went before
// it, is an error: nothing would be looked for on its account.
func (r *Run) Facts() (*Facts, error) {
	f := &Facts{acks: r.Acks}
	var err error
	if f.at, err = ledger.Locate(r.Events, r.Acks); err != nil {
		return nil, err
	}
	if f.before, err = ledger.LocateBefore(r.Events, r.Acks); err != nil {
		return nil, err
	}
	for i, a := range r.Acks {
		if f.at[i] < 0 || a.Gone && f.before[i] < 0 {
			return nil, fmt.Errorf("the trace has no reply %q, or none before it: %s, %s", a.Reply, a.Kind, a.ID)
		}
	}
	return f, nil
}

// At lists what must be there at an instant, and what must not.
func (f *Facts) At(instant int64) (owed, gone []string) {
	ended := map[string]bool{}
	for i, a := range f.acks {
		if !a.Gone || f.before[i] >= instant {
			continue
		}
		ended[a.ID] = true // at least its command may be under way
		if f.at[i] < instant {
			gone = append(gone, a.ID)
		}
	}
	for _, i := range replay.Owed(f.at, instant) {
		if a := f.acks[i]; !a.Gone && !ended[a.ID] {
			owed = append(owed, a.ID)
		}
	}
	return owed, gone
}

func (l *Loss) compare(owed, gone, ids []string) {
	times := map[string]int{}
	for _, id := range ids {
		if times[id]++; times[id] == 2 {
			l.Double = append(l.Double, id)
		}
	}
	for _, id := range owed {
		if times[id] == 0 {
			l.Missing = append(l.Missing, id)
		}
	}
	for _, id := range gone {
		if times[id] > 0 {
			l.Back = append(l.Back, id)
		}
	}
}
