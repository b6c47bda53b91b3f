// Package load is a closed-loop generator of SMTP (RFC 5321) and LMTP (RFC 2033) traffic: each session sends a message,
// waits for the reply, and sends the next. What a server cannot keep up with therefore shows as a lower rate and a
// longer reply time, never as a growing crowd.
//
// It has a small client of its own, because a load generator must not be what limits: the bytes of a message are made
// once per session, a unique Message-ID is patched in, and a message leaves in one write, a large one in two. It never retries a message,
// never sends one after the time is up, and never decides by itself that a reply was good: 2xx is, all else is counted
// under the words of the server.
//
// Files: config.go (what to send), message.go (the bytes), conn.go (one connection), session.go (one closed loop),
// run.go (all of them), guest.go (a connection that only waits), record.go and histogram.go (what came of it).
//
// Failure contract: Run returns an error only for a configuration that cannot be used. Failures of the server are
// results: counted by reply, or, where the connection broke between the end of the data and its reply, as uncertain.
package load
