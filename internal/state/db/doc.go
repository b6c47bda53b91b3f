// Package db is the one thin layer between Postrider's state and its SQL engine.
//
// It has two engines: SQLite (zombiezen.com/go/sqlite) and PostgreSQL (pgconn of pgx; docs/design/0006-postgresql.md).
// Callers write portable SQL with ? placeholders. What the engines do not share is one named function each.
//
// Read runs a function in a read transaction on one of a few read-only connections. Write queues a function for the one
// writer goroutine, which runs whatever has gathered in one transaction, each function in a savepoint, commits once with
// synchronous=FULL and then answers all: while one commit runs, the next batch forms by itself. A function that fails
// rolls back only itself. The positive answer of Write means durable.
//
// Rules for callers, the same on both engines:
//   - SQL texts are constants: each is prepared once per connection and kept.
//   - One query is open at a time in a Tx: read all rows (or Close) before the next statement.
//   - After a statement failed the Tx is broken: every later call returns the same error. Where a conflict is expected
//     write ON CONFLICT DO NOTHING and look at the count.
//   - A function given to Write is short, does no other I/O, and calls neither Read nor Write. It may run in a
//     transaction that is later lost, so what it changes outside the database it changes after Write returned nil.
//   - A Read keeps a snapshot, and a snapshot holds the write-ahead log: a long scan goes in slices, some thousand rows a
//     Read, with the last key carried over.
//   - Nobody else opens, copies or even reads the database files while the server runs: closing any descriptor of them
//     would drop the process's POSIX locks.
//
// Failures: no space or a read-only disk is status.ErrNoSpace; nothing of that batch is acknowledged and later writes
// work again once there is room. An I/O error, a damaged file or a commit that failed in any other way is fatal: Fatal is
// called once and everything later is answered with status.ErrFatal. A violated UNIQUE is ErrUnique.
//
// PostgreSQL: a lost connection, a lock or time-out is ErrUnavailable; the next batch connects again. A commit whose answer
// is lost is asked for on the new session (pg_xact_status) and told as it was; where that cannot be learned it is fatal.
// One server has the database, by an advisory lock of the writer's session.
//
// SQLite's automatic checkpoint hides its errors, so it is off (wal_autocheckpoint=0); a checkpointer goroutine with its
// own connection moves the log into the database and its errors are seen.
//
// Map: db.go (open, read, close), writer.go (group commit), tx.go (statements, rows), columns.go, link.go (a connection as
// a whole), migrate.go, errors.go; of SQLite checkpoint.go, pragma.go (connection settings); of PostgreSQL postgres.go
// (open, lock, lost connections), postgres_conn.go (statements), postgres_sql.go (differences), postgres_migrate.go,
// postgres_errors.go; sync_on.go and sync_off.go (the build tag nosync_wal is the test of the
// power-cut test), boot.go (installation and start counter), check.go
// (`postrider check`), dbtest (contract suite, test databases).
package db
