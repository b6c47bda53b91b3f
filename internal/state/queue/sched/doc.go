// Package sched decides which deliveries run next. It is pure: no clock, no goroutine, no I/O; the caller tells it the
// time, and does what it says.
//
// What runs, and what does not, is said by these rules, in this order (docs/queue.md tells them to operators,
// docs/design/0017-scheduler.md why):
//
//   - A unit that is due stands in the line of its payer and class at its site. Sites are what shares limits: domains whose
//     mail exchangers are the same provider's are one site, once the caller has told which (Unresolved, Resolved).
//   - A site has room for so many units: its limit, which begins small, grows while it goes well and shrinks when it does
//     not; its rates; its share of all, which is no more than what is free; and none while it rests.
//   - Of what has room the classes take turns by weight, in each class the payers, for each payer its lines. So neither a
//     long line nor a great sender holds up the others, and a place is kept for what is not Bulk.
//
// Every step is O(1), but for heaps of what waits for a time or for a share.
//
// Units are never taken out: one whose recipients have ended, are held or have a later unit comes up like the rest, and
// the caller, who knows, passes it to Done at once. So the deletion of many jobs costs no search for each.
//
//	unit.go    Unit, Class, Pick, Feedback
//	policy.go  Limits, Site, Policy
//	sched.go   Scheduler: Add, Tick, Ready, Done
//	lane.go    whose turn it is among classes and payers
//	site.go    what a site has room for
//	learn.go   what a site's limit learns from attempts, and when it rests
//	names.go   which site a domain belongs to
//	info.go    what operators see and say: Sites, Resume, Flush
//	bucket.go, ring.go, heaps.go  a rate, a list, times
package sched
