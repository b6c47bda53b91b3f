// Package system runs the crash proofs on Postrider itself: its node under strace, under power cuts, under SIGKILL, on
// full, read-only and failing disks.
//
// The server is test/crash/server, a process of its own. Its clients are written here, byte for byte, because a library
// would hide when which reply arrived. Messages describe themselves: from a message found in a mailbox Read tells whether
// it is whole, without asking what was sent.
//
// A test that needs strace, root or time says so through test/needs. CRASH_SECONDS is how long the open-ended ones go on.
//
// Files: message.go (messages) · smtp.go, imap.go (clients) · sink.go (the next hop) · hop.go (exchangers with moods) · process.go (the server's process) · listing.go (what the
// mailboxes hold) · model.go (what they must hold, through any number of SIGKILLs) · inject.go (failing calls) · upkeep.go (compaction and sweep); the tests: order_test.go (its filing client: filing_test.go),
// powercut_test.go, kill_test.go (its IMAP clients: worker_test.go), remote_test.go, full_test.go, fatal_test.go, places_test.go, torn_test.go, damage_test.go, upkeep_test.go (what they judge below acknowledgements: refs_test.go, commits_test.go).
package system
