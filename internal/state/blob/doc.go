// Package blob keeps the bytes of messages in append-only packs, which are also the accept journal: 250 is answered once
// Commit has returned (DESIGN.md §1, §3; the bytes on disk: docs/format.md).
//
// One record holds one transaction's message: header, body, trailer (the caller's, opaque here), footer. Bodies up to
// Options.SmallMax collect in pooled buffers; one goroutine appends what has gathered as a group, with one write and one
// fdatasync, and while that sync runs the next group gathers. A larger body streams into a pack of its own. A pack has its
// row in the Catalog before its first byte, and a few empty packs are kept ready, so that no acceptance waits for a create.
//
// A committed record is unsettled until its owner calls Settle: then it is in a mailbox, in the queue's table, or done.
// The settled position of a pack (no unsettled record before it) goes to the Catalog now and then; the next start Replays
// what lies behind it. A pack with an unsettled record or a Put in flight is never condemned.
//
// What it never does: rewrite a record, count references, know what a trailer means, acknowledge before the sync.
//
// Failures. No space, quota or a read-only disk: status.ErrNoSpace; nothing is acknowledged, what was half written is cut
// off before the next write, later Commits work again. An I/O error on a write, or any failed sync: the store has failed;
// every pending and later Commit gets status.ErrFatal and Options.Fatal is called once. Reading goes on. A record that
// does not pass its checksums is ErrDamaged, one that this version cannot read ErrUnsupported; neither ends the process.
//
// Map: store.go open, close, failure · writer.go, buffers.go Create, Write, Commit, Abort · pending.go reading
// what is being written · group.go the appending goroutine ·
// stream.go large bodies · packs.go making, taking and sealing packs · fill.go space written ahead · settle.go unsettled
// records · replay.go what a start does · read.go, handles.go reading · record.go small records in one read · zstd.go
// compressed bodies · scan.go, torn.go walking a pack · format.go the bytes · catalog.go, catalog_mem.go, catalog_db.go the
// packs' rows · lifecycle.go seal by age, condemn, delete · compact.go, copies.go, compress.go, pace.go compaction ·
// measure.go what packs hold · reader.go, check.go, catalog_check.go `postrider check` · rebuild.go the catalog from packs ·
// memory.go a store for tests · sync_*.go the build tags nosync_*, which drop syncs that carry promises: the crash proofs
// must fail with them.
package blob
