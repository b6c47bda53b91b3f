// Package obs is what operators see of a running server: the log, and in the package metrics below it the
// measurements and health pages.
//
// Two kinds of log exist. Diagnostics are ordinary slog records with the fixed keys of keys.go. Outcomes are typed
// events (events.go): what became of a connection, a message, a recipient, a login; each is written as one line with
// the same keys everywhere, or, in the maillog format, as Postfix and Dovecot write it, so that pflogsumm and fail2ban's
// stock filters work on it. Whoever reports an outcome declares that it wants an Events; node fills it with a Log, with
// the counters of metrics.Metrics, or with both (All).
//
//	keys.go     the keys of the log
//	events.go   the outcomes
//	log.go      Open: format, level, destination
//	slog.go, attempt.go  outcomes in words, for slog records and the trace
//	maillog.go  outcomes and records as lines of syslog
//	postfix.go, dovecot.go  the words of each event in that format
//	file.go     a log file that can be opened anew after a rotation
//	metrics/    a node's measurements, and /metrics, /healthz, /readyz
//
// The package never logs passwords or message contents, has no globals, and reports no error of the log itself: a log
// that cannot be written must not stop mail.
package obs
