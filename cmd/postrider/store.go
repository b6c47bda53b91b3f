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
		"compaction", fmt.Sprintf("%s due; about %s would come back", some(s.Candidates, "pack"), shortSize(s.Frees)),
		"in use", fmt.Sprintf("%s by mail on its way; %s only in the journal", some(s.InUse, "pack"), some(s.Journal, "message")),
		"expunged", fmt.Sprintf("mailboxes remember %s, and keep %d of them for a while", some(s.Tombstones, "expunged message"), s.Expunged),
		"removed", fmt.Sprintf("the mail of %s is kept for a while", some(s.Removed, "removed account")))
}

func (c storeCompactCmd) Run(a *app) error {
	return a.upkeep(admin.UpkeepQuery{Compact: true, All: c.All, Packs: c.Packs, Now: true}, func(w io.Writer, s admin.UpkeepSummary) {
		fmt.Fprintf(w, "Compacted %s in %.1f s, copied %s (%s). About %s will come back when old packs go, in a day.\n",
			some(s.Compacted, "pack"), s.Seconds, some(s.Records, "message"), shortSize(s.Bytes), shortSize(s.Freed))
		if s.InUse > 0 {
			fmt.Fprintf(w, "Left alone for mail on its way: %s.\n", some(s.InUse, "pack"))
		}
		if s.Damaged > 0 {
			fmt.Fprintf(w, "Left where it is because it cannot be read: %s; `postrider check --deep` tells more.\n", some(s.Damaged, "message"))
		}
	})
}

func (storeSweepCmd) Run(a *app) error {
	return a.upkeep(admin.UpkeepQuery{Sweep: true, Now: true}, func(w io.Writer, s admin.UpkeepSummary) {
		fmt.Fprintf(w, "Let go of %s, %s, %s.\n", some(s.Let, "expunged message"), some(s.Tombstones, "tombstone"), some(s.Accounts, "removed account"))
		fmt.Fprintf(w, "Condemned %s (%s), to be deleted in a day; deleted %d (%s).\n",
			some(s.Condemned, "pack"), shortSize(s.CondemnedBytes), s.Deleted, shortSize(s.DeletedBytes))
	})
}

// some is a number of things: "1 pack", "2 packs".
func some(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
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
