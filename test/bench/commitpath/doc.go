// Command commitpath measures what stands between the end of DATA and "250": the commit path.
//
// It runs several shapes of one acceptance pipeline against a real disk and prints a table of medians and of ratios
// to the first shape. docs/design/0001-commit-path.md holds the question, the figures and the decision.
//
//	go run ./test/bench/commitpath [-seconds 2] [-sessions 1,50] [-pairs 3] [-dir DIR] [-set main|tune|all]
//
// A shape is a value of type shape (shapes.go). All of them end in the same state: one email row, one entry row per
// message and the body on disk; they differ in what is synced before the answer.
//
// Map: record.go the record format and its checksum; pack.go the pack's single writer; store.go schema and statements;
// committer.go the database's single writer and the checkpointer; shapes.go the shapes and their wiring; replay.go what
// a start does with the records after the settled position; load.go sessions and the measurement of one run; probe.go
// and level.go the disk probe and what keeps it steady; report.go medians and the table; main.go flags and the order of runs.
//
// It never speaks a protocol, never parses a message and is never linked into the server. Any error ends the program:
// a benchmark that went on after a failed sync would measure something else.
package main
