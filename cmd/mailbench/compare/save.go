package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// save hands all that there is to the caller, after each run: what was measured is not lost with what fails later.
func (o *Options) save(out *Outcome) {
	if o.Save == nil {
		return
	}
	if err := o.Save(out); err != nil {
		o.Say(fmt.Sprintf("what there is could not be saved: %v", err))
	}
}

// WriteFile keeps the outcome, in one step.
func (o *Outcome) WriteFile(file string) error {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// ReadFile reads what WriteFile has kept; nil if there is nothing.
func ReadFile(file string) (*Outcome, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o := &Outcome{}
	if err := json.Unmarshal(b, o); err != nil {
		return nil, fmt.Errorf("%s: not the figures of a comparison: %w", file, err)
	}
	return o, nil
}

// resume takes over what an earlier comparison has finished, if it was ended early and was of the same kind: the same
// command, programs and machine. Its failed runs are done again, and so is the turn that it was ended in.
func (o *Outcome) resume(before *Outcome) (runs int) {
	if before == nil || before.Complete || before.Command != o.Command || before.Machine != o.Machine || !maps.Equal(before.Versions, o.Versions) {
		return 0
	}
	o.Date = before.Date
	o.Runs = slices.DeleteFunc(before.Runs, func(r Run) bool { return r.Error != "" })
	o.Trials = slices.DeleteFunc(before.Trials, func(t Trial) bool { return t.Error != "" })
	o.Traces = slices.DeleteFunc(before.Traces, func(t Trace) bool { return t.Error != "" })
	o.Readings = slices.DeleteFunc(before.Readings, func(r Reading) bool { return !before.turnComplete(r) })
	maps.Copy(o.Configs, before.Configs)
	return len(o.Runs) + len(o.Trials) + len(o.Traces) + len(o.Readings)
}

// turnComplete tells whether every workload of a reading's turn is there and did not fail.
func (o *Outcome) turnComplete(r Reading) bool {
	for _, w := range readings() {
		if !slices.ContainsFunc(o.Readings, func(x Reading) bool {
			return x.Workload == w.name && x.System == r.System && x.Pair == r.Pair && x.Try == r.Try && x.Error == ""
		}) {
			return false
		}
	}
	return true
}

// ran is how many runs of a turn need not be done any more: more than all if one of them counts.
func (o *Outcome) ran(system string, sessions, pair int) (n int) {
	for _, r := range o.Runs {
		if r.System == system && r.Sessions == sessions && r.Pair == pair {
			if n++; r.Discarded == "" {
				return enough
			}
		}
	}
	return n
}

func (o *Outcome) tried(system, kind string, pair int) (n int) {
	for _, t := range o.Trials {
		if t.System == system && t.Kind == kind && t.Pair == pair {
			if n++; t.Discarded == "" {
				return enough
			}
		}
	}
	return n
}

// read is the same for turns of reading, which are counted from 0.
func (o *Outcome) readTries(system string, pair int) (n int) {
	for _, r := range o.Readings {
		if r.System == system && r.Pair == pair {
			if n = max(n, r.Try+1); r.Discarded == "" {
				return enough
			}
		}
	}
	return n
}

func (o *Outcome) traced(system string, sessions int) bool {
	return slices.ContainsFunc(o.Traces, func(t Trace) bool { return t.System == system && t.Sessions == sessions })
}

// enough is more than any number of retries.
const enough = 1 << 30
