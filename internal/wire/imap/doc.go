// Package imap is the server side of IMAP: IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) in one engine, with APPENDLIMIT
// (RFC 7889), BINARY (RFC 3516), CHILDREN (RFC 3348), CONDSTORE and QRESYNC (RFC 7162), CREATE-SPECIAL-USE and SPECIAL-USE
// (RFC 6154), ENABLE (RFC 5161), ESEARCH (RFC 4731), ID (RFC 2971), IDLE (RFC 2177), LIST-EXTENDED (RFC 5258), LIST-STATUS
// (RFC 5819), LITERAL- before and LITERAL+ after login (RFC 7888), MOVE (RFC 6851), MULTIAPPEND (RFC 3502), NAMESPACE
// (RFC 2342), OBJECTID (RFC 8474), PARTIAL (RFC 9394), PREVIEW (RFC 8970), QUOTA (RFC 9208), REPLACE (RFC 8508), SASL-IR
// (RFC 4959), SAVEDATE (RFC 8514), SEARCHRES (RFC 5182), STATUS=SIZE (RFC 8438), UIDPLUS (RFC 4315), UNSELECT (RFC 3691),
// UTF8=ACCEPT (RFC 6855) and WITHIN (RFC 5032). A mailbox shared by several sessions behaves as RFC 2180 describes.
// docs/imap.md has limits and deviations.
//
// The engine knows no storage: what it needs stands in backend.go, which agents fill. It never holds a whole message in
// memory, never changes the bytes of one, never shows a Backend's error to a client except through status.Of, and takes
// no password in the clear. \Recent is never set: see view.System.
//
// Map of the files. The connection: server.go (listeners, limits, shutdown), conn.go (the loop), package link (deadlines
// and waking), input.go and read.go (lines, literals), parser.go (grammar), encoder.go (responses), errors.go (refusals).
// Dispatch: tables.go lists the extensions; each command, FETCH item, STATUS item and SEARCH key is an entry of a table,
// filled by cmd_*.go, fetch_*.go, search_*.go (transfer.go undoes base64 and quoted-printable, search_fold.go folds text) and files named after extensions (condstore.go, qresync.go, quota.go, …).
// Names: utf7.go, names.go. The selected mailbox: hub.go (one view.Mailbox for all sessions), package view (each session's
// own numbering). Without a client: search.go. imaptest is a store in memory for tests.
//
// Failures: what a client does wrong gets BAD with the reason, and Config.MaxErrors BADs in a row end the connection; what cannot be
// done gets NO with a response code. A message that turns out to be unreadable in the middle of its literal ends the
// connection, since nothing else can be said any more. A panic ends its connection only.
package imap
