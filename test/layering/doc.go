// Package layering enforces the shape of the tree as tests: which layer may import which (the table in rules.go, each
// ban with its reason), and the habits that a compiler does not check (source.go).
//
//	graph.go   reads the packages with `go list`
//	rules.go   the layers and the bans; Check judges a graph
//	source.go  no init(), no shared mutable globals, package comments, no t.Skip outside test/needs, no unfinished marks
//
// Only imports of the product count for the layers: a test may look at another layer for a contract or a peer. The
// checker is itself tested on graphs and sources that break each rule, because a check that cannot fail is a defect.
package layering
