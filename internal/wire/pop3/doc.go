// Package pop3 is the server side of POP3 (RFC 1939) with TOP, UIDL, USER and PASS, without APOP; CAPA, RESP-CODES,
// LOGIN-DELAY, PIPELINING, EXPIRE and IMPLEMENTATION (RFC 2449); STLS (RFC 2595 §4); AUTH-RESP-CODE, SYS/TEMP and SYS/PERM
// (RFC 3206); AUTH (RFC 5034); UTF8, UTF8 USER and LANG (RFC 6856).
//
// The engine knows no storage: what it needs stands in backend.go, which an agent fills. A session sees the maildrop as it
// was at its login, in twelve bytes a message. The engine never holds a whole message in memory, changes nothing of one but
// line ends that are no CR LF, never removes anything except at QUIT, never shows a Backend's error to a client except
// through status.Of, and takes no password in the clear.
//
// Map of the files. The connection: server.go (listeners, limits, shutdown), conn.go (the loop), package link (deadlines),
// input.go (lines, grammar), commands.go (the table of commands), errors.go (refusals), observer.go. The commands: auth.go
// (USER, PASS, AUTH, STLS), delay.go (LOGIN-DELAY), capa.go (CAPA, UTF8, LANG), listing.go (the snapshot; STAT, LIST, UIDL,
// DELE, RSET), retrieve.go (RETR, TOP), stuff.go (lines and dots), update.go (QUIT).
//
// Failures: what cannot be done gets -ERR with the reason and goes on; what is no POP3 is counted, and too much of it ends
// the connection. A message that turns out to be unreadable in the middle ends the connection, since nothing else can be
// said any more. A connection that ends without QUIT changes nothing (RFC 1939 §6). A panic ends its connection only.
package pop3
