// Package nettab asks tables that are services of small protocols: tcp_table(5), socketmap_table(5) (whose netstrings
// Sendmail's programs speak too), memcached (memcache_table(5)) and Redis (a table type of ours, with a file of the same form).
//
// What it never does: write to a service, or wait longer than the table's time-out.
//
// Failures: a service that cannot be reached, hangs, or answers rubbish is an error, which is a temporary failure; so are its
// own words of failure (400, TEMP, TIMEOUT, PERM, SERVER_ERROR, -ERR). Replies are bounded before they are kept.
//
// Map: table.go what all have in common · tcp.go · socketmap.go · memcache.go · redis.go.
package nettab
