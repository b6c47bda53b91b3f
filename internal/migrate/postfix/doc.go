// Package postfix moves a configuration of Postfix: it reads main.cf, master.cf and the tables they name, and makes our
// configuration of them, with a report that tells the fate of every line. The facts are those of Postfix 3.7: postconf(5),
// master(5).
//
// A parameter for which a key of the same name exists goes there (byname.go); the exceptions are one table (rules.go). What
// Postfix does without being told, and we would do otherwise, is written too (implicit.go).
//
// What the package never does: change the source, ask the network or a database, write a password into the configuration or
// the report, or call something translated that our own reading of the configuration refuses.
//
// Everything read is bounded: files, lines, settings, the depth and size of expansions. A mistake in the source is a line
// of the report, not the end of the work.
//
//	lines.go, mastercf.go   the texts
//	names.go       names that Postfix does not know
//	expand.go      $name and its relatives
//	defaults.go    what Postfix knows, with its defaults (defaults.txt)
//	values.go      times, truths, lists
//	origin.go      a configuration as it was read; where its files are
//	move.go        the move: from an Origin to a Result
//	rules*.go      the fate of each parameter
//	byname.go      parameters for which there is a key of the same name
//	networks.go    lists of networks
//	convert*.go    those that need more than a change of name
//	services.go, override.go   the services of master.cf, and their -o
//	pipes.go       programs that get mail, pipe(8)
//	postconf.go    our settings under Postfix's names, both ways
//	spawn.go       programs that systemd starts instead of master.cf
//	tables.go      the tables that are named, and their files
//	accounts.go    import.sh: domains and accounts
//	render.go      postrider.toml
//	report.go      the report
//	catalogue.go   the table of docs/migrate-postfix.md
package postfix
