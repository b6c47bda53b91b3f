// Package migrate compares what internal/migrate/postfix reads with what Debian's Postfix reads of the same files: names and
// defaults of all parameters, the values of every configuration of its tests, written and expanded, and the services of
// master.cf with their -o.
package migrate
