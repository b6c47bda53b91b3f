// Package peer sets up the mail systems that Postrider is measured beside, and Postrider itself, each from nothing in a
// folder of its own, on loopback, in the foreground, started and stopped by process id. Nothing of the machine's own
// Postfix or Dovecot configuration is read or changed. It installs nothing: Missing says what is not there.
//
// A System keeps its data between Stop and Start. All have the same users, user1@example.test and so on, and take the
// same questions: where to send, how many messages a user's INBOX has (by IMAP, RFC 9051 §6.3.11), which processes to
// watch, and with which configuration they run.
//
// Files: system.go (the interface), daemon.go (one process in the foreground), postfix.go and dovecot.go (their
// configurations stand in conf/), cert.go (TLS for Dovecot), stack.go (both together), postrider.go, imap.go (the few words
// of IMAP needed here).
//
// Failure contract: an error of Start carries the last lines of the log; whatever was started by then is stopped. Stop
// leaves no process behind: those that do not end by themselves in stopTimeout are killed, by id, and reported.
package peer
