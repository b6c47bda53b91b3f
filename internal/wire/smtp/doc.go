// Package smtp speaks SMTP (RFC 5321), both sides, and LMTP (RFC 2033) as a mode of it.
//
// Extensions, server and client: PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
// CHUNKING (RFC 3030, without BINARYMIME), DSN (RFC 3461; parsed and kept), ENHANCEDSTATUSCODES (RFC 2034), STARTTLS
// (RFC 3207), AUTH (RFC 4954; under TLS only), LIMITS (RFC 9422; announced by the server).
//
// The engine knows no storage and no policy: a Backend judges senders and recipients and takes the message. The engine
// keeps the protocol's promises: order of commands, strict line ends, limits, time-outs, one reply for each command in
// order. A bare LF or CR ends neither a line nor the data, and a message that has one is refused; Config.LaxNewlines
// exempts old devices. Nothing said before STARTTLS counts behind it. It never waits for a client without a deadline and
// never holds a whole message: Session.Data reads it as it comes, in runs of the read buffer.
//
// A session is one goroutine and one state machine: session.command → session.dispatch → the verb's function, by the
// table in verbs.go. All waiting for input is in session.fill, which sends the queued replies first; so replies to
// pipelined commands leave in one write, and a shutdown finds every session at rest in one place.
//
// Files, server: server.go (listeners, limits of connections, shutdown), session.go (life of a session, replies, time-outs,
// errors counted), verbs.go (table; greeting, STARTTLS, small verbs), transaction.go (MAIL, RCPT, DATA, BDAT, the final
// reply), params.go (paths' parameters, xtext), auth.go, input.go (read buffer, command lines), body.go (the reader that a
// backend gets), dotsource.go (DATA and BDAT decoding), backend.go (interfaces, facts, events, replies), register.go (who
// knows of the sessions, and may end them), config.go.
// Client: client.go (connection, greeting, STARTTLS, AUTH), send.go (transactions), forward.go (XFORWARD), dotwriter.go (DATA encoding),
// clientreply.go (replies).
//
// Failures: everything that a peer reads goes through status.Of, so an unknown error is 451 4.3.0 and its cause stays in
// the log. A panic costs its connection, which is told 421. What comes after a broken connection is the backend's Reset
// and Close, always.
package smtp
