// Package work is the workloads of `mailbench imap`, `pop3`, `fill` and `relay`: closed loops of what mail programs ask,
// each answer checked.
//
// An operation that is not what the server's own earlier answers promise fails the run: a FETCH that leaves a message
// out, a body that is not as long as the size it came with, a SEARCH that finds another number of messages the second
// time, a mailbox that has not grown by what was appended. So a rate here is a rate of right answers. Mailboxes that
// are read must be quiet meanwhile.
//
// Files: options.go (what to do), run.go (sessions, time, figures), seat.go (one session's connection), fetch.go,
// search.go, change.go (store, append, copy), growth.go (did a mailbox grow as it must?), pop3.go; idle.go (crowds), guest.go (one of them),
// fill.go (make a mailbox), corpus.go (its messages), relay.go and ledger.go (through a system into our own sink: did
// each message arrive once?).
//
// Failure contract: the first error of any session ends the run and is returned with the server's words; there are no
// partial results. What a run created, it removes; a run that failed may leave mailboxes named mailbench-….
package work
