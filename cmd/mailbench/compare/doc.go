// Package compare runs mail systems in turn under the same load on the same disk, and reports.
//
// Fairness is its subject. Every system goes the whole way: SMTP in, and a message counts when its user's INBOX has it
// (asked by IMAP). All have the same durability: a reply only after a sync. They run one after the other, A B A B, and
// a disk probe stands before and after each run; a run between two probes that differ too much is discarded, and the
// report says so. CPU is that of all processes of a system. What a system's figures are worse at is listed.
//
// It never tunes a system: that is done in peer, where the configurations stand. Files: options.go, order.go (which
// run follows which), run.go (one run), mailboxes.go (has everything arrived?), summary.go (medians and ratios),
// report.go and findings.go (Markdown), charts.go (what is drawn), reading.go and
// readreport.go (IMAP and POP3), trial.go and trialreport.go (relay, crowds, large messages), save.go (so that nothing that
// was measured is lost).
//
// Failure contract: a system that does not start, or loses a message, is a result in the report and the comparison
// goes on; an error means that the comparison itself could not go on.
package compare
