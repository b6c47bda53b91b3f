package main

type (
	storeCmd struct {
		Stats   storeStatsCmd   `cmd:"" help:"Tell how many packs there are, how much of them is needed, and what compaction would free."`
		Compact storeCompactCmd `cmd:"" help:"Copy what is still needed out of thinly used packs into new ones now, so that the old ones can go. Without packs: those that are due by store.compact_below."`
		Sweep   storeSweepCmd   `cmd:"" help:"Let go now of what was expunged longer ago than store.keep_expunged, and of packs that nobody needs. Files of packs go a day after that was found."`
	}
	storeStatsCmd   struct{}
	storeCompactCmd struct {
		All   bool    `help:"All packs that are complete, however much of them is needed. The disk must hold what is needed twice for a day."`
		Packs []int64 `arg:"" optional:"" name:"pack" help:"Numbers of packs."`
	}
	storeSweepCmd struct{}
)
