// Package client has the IMAP (RFC 9051, RFC 3501) and POP3 (RFC 1939) clients of the load generator.
//
// They are small because a generator must not be what limits: no answer is parsed further than a workload needs to
// check it, the octets of literals are counted and thrown away, and one buffer serves all lines of a connection. They
// never retry and never reconnect, and an answer that is not a success is an error with the server's words.
//
// Files: target.go (where to connect, TLS), imap.go (commands and their answers), answer.go (what an untagged answer
// tells), pop3.go.
//
// Failure contract: after an error from the network or a malformed answer (anything but a *Refused) a connection is of
// no further use; Close it. What a server may send is bounded: lines, literals, and the time for a command.
package client
