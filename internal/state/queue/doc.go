// Package queue holds the accepted messages that are not everywhere they should be, and has them delivered.
//
// A job enters by Submit once its record in the accept journal is durable. One that settles at once never has rows; one that
// is deferred, or takes more than a few seconds (a minute, where only our own mailstore keeps it waiting), gets rows (schema
// 0004, 0014), and then its record in the journal counts as settled. In memory is what has no rows, is under way, or is due
// soon, as far as the window has room; feed brings the rest from its rows in time (docs/design/0016). At a start the journal's
// unsettled records come back by Recover.
//
// The Scheduler (pure) says what runs next; agents attempt deliveries and return outcomes; the queue keeps what they say:
// a final outcome ends the recipient, Deferred or no report leads to another attempt, and recipients that have waited
// longer than Retry.Expire fail. Where a delivery status notification is due (RFC 3461), the Reporter has made it durable
// before the recipient is ended.
//
// Promises. A job is gone only when every recipient has a final outcome. Into the mailstore the ledger makes delivery
// exactly once; elsewhere it is at least once: the outcome of a remote recipient is durable some milliseconds after the
// remote's 250, and a crash in between repeats the attempt.
//
// Disk full: outcomes stay in memory and are written when there is room; nothing is forgotten. docs/states.md has every
// state, transition, and what a crash at each point leaves.
//
// Files: queue.go (types, Submit) · window.go (what is in memory, what the scheduler gets) · feed.go, fetch.go (from the rows) ·
// run.go (dispatch to agents) · finish.go (outcomes) · retry.go (schedules, expiry, warnings) · sites.go, clock.go · store.go
// (rows, in order) · recover.go (start) · ledger.go (what may be forgotten) · select.go, filter.go, list.go, stats.go (what
// operators see) · change.go, operate.go (what they do) · check.go, rebuild.go (`postrider check`) · unserved.go (transports
// without an agent).
package queue
