// Package schema holds the numbered migrations of store.db.
//
// A migration is NNNN_name.sql; numbers rise, gaps are allowed, and a file that has been released never changes: what
// must change is a new file. Migrations run forward only, each in a transaction of its own (see package db).
//
// The SQL is SQLite's in a vocabulary that PostgreSQL understands after the few named replacements of package db: column
// types are BIGINT, TEXT and BLOB (BYTEA there); an id that the engine assigns is "INTEGER PRIMARY KEY" (an identity
// column there); WITHOUT ROWID may end a table (dropped there). Times are integers, truth values are BIGINT 0 and 1.
// No foreign key crosses directory, queue, mailstore and packs.
//
// Who owns what: 0001 and 0009 packs (state/blob), 0002 directory, 0003, 0008 and 0010 mailstore, 0004 queue, 0005 node (state/db), 0006
// certificates (state/certstore), 0007 last logins (state/directory), 0012 bans and counts
// (state/limits), 0013 what was learnt about strangers (state/remember), 0014 queue,
// 0015 suppression lists (state/suppress).
package schema

import "embed"

// Store holds the migrations of store.db: packs, directory, mailstore, queue, node.
//
//go:embed *.sql
var Store embed.FS
