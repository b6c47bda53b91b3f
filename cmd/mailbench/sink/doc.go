// Package sink is an SMTP server (RFC 5321) that throws messages away and tells who has sent what: the far end of
// `mailbench relay`.
//
// It offers PIPELINING (RFC 2920), 8BITMIME (RFC 6152), SIZE (RFC 1870), SMTPUTF8 (RFC 6531) and ENHANCEDSTATUSCODES
// (RFC 2034), and no TLS. It never keeps a message, never refuses a recipient, and never delivers. Of a message it
// reads the two header fields of the load generator, and sums up the body on the way. It is a server of its own, not
// the product's, so that both cannot have the same mistake.
//
// Files: server.go (connections), session.go (commands), body.go (what arrived).
//
// Failure contract: the far side may say anything; lines, recipients, messages, connections and waiting times are
// bounded, and a session that breaks a bound ends with a 5xx or 421 reply. What was answered 250 was told to Arrived first.
package sink
