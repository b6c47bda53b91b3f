// Package view is what IMAP sessions know about a selected mailbox: the mailbox as the change feed tells it (Mailbox,
// shared by all sessions that selected it) and one client's own, possibly stale, idea of it (Session): which sequence
// number means which message, and what the client has yet to be told (RFC 3501 §2.3.1.2 and §5.2, RFC 9051 §2.3.1.2
// and §5.2, RFC 2180 on several sessions).
//
// The package is pure: no I/O, no goroutine, no clock, no lock. Whoever shares a Mailbox between goroutines holds his own
// lock around every call that takes or has one. A Session belongs to one goroutine.
//
// What it never does: renumber messages behind the client's back. A message that is gone keeps its sequence number in
// every session until that session has been sent the EXPUNGE, which Sync does only when told that the moment allows it.
//
// Files: uids.go (compact ascending UID lists), flags.go (system flags, keywords and the table of combinations),
// mailbox.go (the shared truth and its log), session.go (one client's view), changed.go (what changed since, RFC 7162),
// set.go (sequence sets).
//
// Cost: consecutive UIDs are one run of 8 bytes, so 100,000 messages without gaps take 16 bytes for numbering in each
// session; the shared Mailbox keeps 12 bytes a message for flags and modification sequence.
package view
