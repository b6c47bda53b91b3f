package admin

import "time"

// opUpkeep and opStoreStats take as long as the store is large.
const (
	opUpkeep     = "store-upkeep"
	opStoreStats = "store-stats"
)

// UpkeepQuery says what to do for the packs now.
type UpkeepQuery struct {
	Sweep   bool    `json:"sweep,omitempty"`   // let go what was expunged long enough ago, condemn packs that nobody needs, delete condemned ones
	Compact bool    `json:"compact,omitempty"` // thinly used packs
	All     bool    `json:"all,omitempty"`     // Compact: however much of a pack is needed, and however young it is
	Packs   []int64 `json:"packs,omitempty"`   // Compact: these
	Now     bool    `json:"now,omitempty"`     // as fast as the disk allows
}

// UpkeepEvent has one of its fields.
type UpkeepEvent struct {
	Progress *CheckProgress `json:"progress,omitempty"`
	Summary  *UpkeepSummary `json:"summary,omitempty"` // the last
}

// UpkeepSummary is what a round of upkeep did.
type UpkeepSummary struct {
	Let        int64 `json:"emails_let_go"`     // expunged emails whose time was over
	Tombstones int64 `json:"tombstones_let_go"` // of expunged messages
	Accounts   int64 `json:"accounts_let_go"`   // removed ones, whose mail is gone now

	Compacted int64 `json:"packs_compacted"`
	Records   int64 `json:"records_copied"`
	Bytes     int64 `json:"bytes_copied"`    // of their bodies
	Emails    int64 `json:"emails_moved"`    // that lead to the copies now
	Freed     int64 `json:"bytes_freed"`     // by compaction, about, once the old packs are deleted
	InUse     int64 `json:"packs_in_use"`    // not compacted: the queue needs them, or they are not settled
	Damaged   int64 `json:"records_damaged"` // not copied

	Condemned      int64 `json:"packs_condemned"`
	CondemnedBytes int64 `json:"bytes_condemned"`
	Deleted        int64 `json:"packs_deleted"`
	DeletedBytes   int64 `json:"bytes_deleted"`

	Seconds float64 `json:"seconds"`
}

// StoreStats is what the packs hold.
type StoreStats struct {
	States  []PackState `json:"states"`    // those that there are
	Journal int64       `json:"unsettled"` // messages that only the journal has

	Live       int64 `json:"live_bytes"`        // of sealed packs: about what mailboxes and queue need
	Dead       int64 `json:"dead_bytes"`        // of sealed packs: the rest
	Emails     int64 `json:"live_bodies"`       // bytes of messages in mailboxes, before compression
	Candidates int64 `json:"compactable_packs"` // of which so little is needed that upkeep compacts them
	Frees      int64 `json:"compactable_bytes"` // what that frees
	InUse      int64 `json:"packs_in_use"`      // by the queue

	Tombstones int64 `json:"tombstones"`            // of expunged messages
	Expunged   int64 `json:"tombstones_with_email"` // of them: that keep their email for undelete
	Removed    int64 `json:"removed_accounts"`      // whose mail is kept
}

// PackState is the packs in one state.
type PackState struct {
	State  string    `json:"state"`
	Packs  int64     `json:"packs"`
	Bytes  int64     `json:"bytes"`
	Oldest time.Time `json:"oldest"`
}
