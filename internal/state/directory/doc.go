// Package directory knows whose mail this system takes: domains, accounts, aliases, credentials.
//
// Resolve answers for a recipient at RCPT, Authenticate and ScramCredentials for a login, OwnsAddress for a sender; the
// rest is administration. Domains are A-labels inside. Local parts of our own domains match ASCII-case-insensitively
// after NFC (address.FoldLocal); those of other domains are never changed (RFC 5321 §2.4). An exact match goes before the
// delimiter, an alias before the account of the same address, everything before the catch-all; postmaster@ and abuse@ of
// every domain of ours reach somebody (RFC 5321 §4.5.1, RFC 2142 §2).
//
// A password is kept as argon2id and as SCRAM-SHA-256 keys, never itself. A login that succeeded is remembered for ten
// minutes as an HMAC under a key of this process; hashing runs in a lane of bounded width and length that
// is fair to places and names (lane.go), and whoever finds it full is told to try again. An unknown user costs the same time and gets the same salt each time.
//
// The package never touches mail: who removes an account removes its mail too, by the id that RemoveAccount returns. Ids
// of accounts are never used again.
//
// foreign.go takes passwords in the stored form of other systems, until their first login here; system.go asks the system
// about those of its users.
//
// Files: directory.go (the type), domain.go, account.go, alias.go (administration), resolve.go (recipients and senders),
// auth.go (logins), lane.go (who may hash), logins.go (the last of each account), secret.go (hashes), cache.go, store.go (what storage must do), sql.go (on package db), memory.go (for
// tests), errors.go; directorytest has the contract suite.
//
// Failures: what a peer would read is a status.Error (550 5.1.1, 535 5.7.8, 454 4.7.0, 451 4.3.0); administration gets an
// *Error with a text for people, whose kind is ErrNotFound, ErrExists, ErrInUse or ErrInvalid.
package directory
