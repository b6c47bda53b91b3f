// Package aliases gives the same alias file, :include: files and .forward files to Debian's Postfix and to Postrider with its
// helper, sends the same mail to both, and compares who got what: mailboxes, files, commands, addresses elsewhere, refusals.
//
//	world_test.go  users that only the programs of a test know; what each alias and file says
//	pipes_test.go  the same with programs of pipe(8), mailbox_command and its relatives
//	peer_test.go   Postfix with its own configuration
//	ours_test.go   quickstart and the helper
//	same_test.go   the comparison
package aliases
