package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/postrider/postrider/internal/admin"
)

func (storeStatsCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		s, err := api.StoreStats(ctx)
		if err != nil {
			return err
		}
		return a.show(s, func(w io.Writer) { a.storeStats(w, s) })
	})
}

func (a *app) storeStats(w io.Writer, s admin.StoreStats) {
	t := newTable("PACKS", ">NUMBER", ">BYTES", "OLDEST")
	for _, p := range s.States {
		t.row(p.State, fmt.Sprint(p.Packs), shortSize(p.Bytes), p.Oldest.UTC().Format(time.DateTime))
	}
	t.write(a, w, "There are no packs.")
	fmt.Fprintln(w)
	a.facts(w,
		"needed", fmt.Sprintf("%s of sealed packs; in mailboxes there are %s of messages", shortSize(s.Live), shortSize(s.Emails)),
		"not needed", shortSize(s.Dead),
		"compaction", fmt.Sprintf("%d packs are due; about %s would come back", s.Candidates, shortSize(s.Frees)),
		"in use", fmt.Sprintf("%d packs by the queue; %d messages only in the journal", s.InUse, s.Journal),
		"expunged", fmt.Sprintf("mailboxes remember %d expunged messages, and keep %d of them for a while", s.Tombstones, s.Expunged),
		"removed", fmt.Sprintf("the mail of %d removed accounts is kept for a while", s.Removed))
}

func (c storeCompactCmd) Run(a *app) error {
	return a.upkeep(admin.UpkeepQuery{Compact: true, All: c.All, Packs: c.Packs, Now: true}, func(w io.Writer, s admin.UpkeepSummary) {
		fmt.Fprintf(w, "Compacted %d packs in %.1f s: %d messages (%s) were copied; %s come back when the old packs go, in a day.\n",
			s.Compacted, s.Seconds, s.Records, shortSize(s.Bytes), shortSize(s.Freed))
		if s.InUse > 0 {
			fmt.Fprintf(w, "%d packs have messages on their way, and were left alone.\n", s.InUse)
		}
		if s.Damaged > 0 {
			fmt.Fprintf(w, "%d messages cannot be read, and stay where they are: `postrider check --deep` names them.\n", s.Damaged)
		}
	})
}

func (storeSweepCmd) Run(a *app) error {
	return a.upkeep(admin.UpkeepQuery{Sweep: true, Now: true}, func(w io.Writer, s admin.UpkeepSummary) {
		fmt.Fprintf(w, "Let go of %d expunged messages, %d notes of expunged ones, %d removed accounts.\n", s.Let, s.Tombstones, s.Accounts)
		fmt.Fprintf(w, "Condemned %d packs (%s), which go in a day; deleted %d (%s).\n",
			s.Condemned, shortSize(s.CondemnedBytes), s.Deleted, shortSize(s.DeletedBytes))
	})
}

// upkeep has the packs looked after now.
func (a *app) upkeep(q admin.UpkeepQuery, text func(io.Writer, admin.UpkeepSummary)) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		p := progress{a: a, on: a.progressTo()}
		var sum admin.UpkeepSummary
		err := api.Upkeep(ctx, q, func(e admin.UpkeepEvent) error {
			switch {
			case e.Progress != nil:
				p.tell(*e.Progress)
			case e.Summary != nil:
				sum = *e.Summary
			}
			return nil
		})
		p.clear()
		if err != nil {
			return err
		}
		return a.show(sum, func(w io.Writer) { text(w, sum) })
	})
}
