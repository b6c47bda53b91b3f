// Package gauge measures, from outside, what processes use and what a disk can do: CPU time and memory of a tree of
// processes from /proc, its syncs by strace, the time of an append with fdatasync, and how much of the machine others
// used meanwhile. Linux only.
//
// It never judges: what a number means is the caller's. Files: tree.go (processes), usage.go (both, from one moment to another), machine.go (all CPUs, facts about
// the machine), probe.go (disk), syncs.go (strace).
//
// Failure contract: a process that ends while it is read is skipped; its CPU time then stands in its parent, which has
// waited for it.
package gauge
