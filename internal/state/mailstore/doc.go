// Package mailstore is the message store: accounts' mailboxes, the immutable emails in the packs, and their entries in
// mailboxes with UIDs, flags and modification sequences.
//
// What it keeps, in the tables of schema 0003: email (immutable, a reference to a record in a pack with its structure,
// envelope and preview), entry (an email's place in a mailbox), expunged (tombstones), mailbox, account_state (counters),
// subscription, thread_ref and the ledger delivered. The tables are its own; nothing else reads or writes them.
//
// Promises. Deliver is exactly once: the ledger's row is written in the transaction of the entries, a repeat is a no-op.
// A nil error of any change means it is durable. All changes of one account get rising modification sequences, from one
// counter on the account's row; changes are published to watchers in the order of their commits, after the commit.
// UIDs rise within a mailbox and are never used twice; UIDVALIDITY rises per account.
//
// It never refuses a delivery for quota (that is decided before 250; it does refuse Append and Copy), never rewrites a
// message or opens its bytes to answer questions about structure or flags, and knows no protocol.
//
// Errors: what a client may read is a status.Error; ErrNoMailbox, ErrExists and the like are tested with errors.Is.
// Anything else is the database's, and temporary.
//
// Files: store.go (open, transactions, watchers) · account.go · mailbox.go · deliver.go (deliveries, Import) ·
// append.go (what clients put in) · change.go (flags) · copy.go · expunge.go · slice.go (large changes in pieces) · vanished.go · read.go (snapshots, emails, message bytes) · fetch.go (what FETCH and SEARCH read) · ledger.go · thread.go · name.go ·
// references.go (records and where emails lead) · prune.go, remove.go (the end of what was expunged or removed) · flags.go · verify.go (the store's invariants, checked when tests close it) · check.go, check_counters.go, repair.go
// (`postrider check`).
package mailstore
