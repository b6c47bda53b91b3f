// Package aliases expands the names of this host as aliases(5), :include: files and .forward say, to the end: accounts,
// addresses elsewhere, commands, files. What is right is what Postfix's local(8) does; docs/aliases.md lists the differences.
//
// It reads nothing itself: tables are asked through decide/table, files through Files, which node fills (the helper, where
// the server may not read). It runs and writes nothing: commands and files are targets, for the agent that delivers.
//
// All that is expanded is written by somebody else and may be a bomb. So each alias and each file is expanded once, the
// targets, the steps and the depth are bounded, and a loop ends with an error that names it. A target that is wrong becomes
// a Failed target of its own, so that the others get their mail. Only what may be better later (a table that does not
// answer, a helper that is away) fails the whole.
//
//	target.go   what an expansion ends with
//	expand.go   aliases, loops, bounds
//	include.go  :include: files, .forward
//	parse.go    one destination as an address
package aliases
