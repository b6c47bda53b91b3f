package main

import (
	"fmt"
	"path/filepath"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// The tables that an accepted message dirties, drawn after DESIGN §3: account first in every mailstore key, no random
// keys. The queue table is as lean as a queue table can be, in favour of the shapes that use it.
const schema = `
CREATE TABLE pack     (id INTEGER PRIMARY KEY, settled INTEGER NOT NULL);
CREATE TABLE account  (id INTEGER PRIMARY KEY, modseq INTEGER NOT NULL, used INTEGER NOT NULL);
CREATE TABLE mailbox  (account_id INTEGER, id INTEGER, uidnext INTEGER NOT NULL, PRIMARY KEY (account_id, id)) WITHOUT ROWID;
CREATE TABLE email    (account_id INTEGER, id INTEGER, pack INTEGER, off INTEGER, size INTEGER, received INTEGER, meta BLOB,
                       PRIMARY KEY (account_id, id)) WITHOUT ROWID;
CREATE INDEX email_pack ON email (pack);
CREATE TABLE entry    (account_id INTEGER, mailbox_id INTEGER, uid INTEGER, email_id INTEGER, flags INTEGER, saved INTEGER,
                       modseq INTEGER, PRIMARY KEY (account_id, mailbox_id, uid)) WITHOUT ROWID;
CREATE INDEX entry_email ON entry (account_id, email_id);
CREATE TABLE delivered(queue_id INTEGER, recipient_no INTEGER, PRIMARY KEY (queue_id, recipient_no)) WITHOUT ROWID;
CREATE TABLE queue    (id INTEGER PRIMARY KEY, pack INTEGER, off INTEGER, size INTEGER, next INTEGER, envelope BLOB);
CREATE TABLE body     (id INTEGER PRIMARY KEY, record BLOB);
INSERT INTO pack VALUES (1, 16);
`

func openConn(dir string, pageSize int) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(filepath.Join(dir, "store.db"), sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA page_size=%d", pageSize),
		"PRAGMA journal_mode=WAL",
		"PRAGMA synchronous=FULL",
		"PRAGMA wal_autocheckpoint=0",
		"PRAGMA cache_size=-65536",
	} {
		if err := sqlitex.ExecuteTransient(conn, pragma, nil); err != nil {
			return nil, fmt.Errorf("%s: %w", pragma, err)
		}
	}
	return conn, nil
}

// createStore makes the schema and the accounts.
func createStore(conn *sqlite.Conn, accounts int) error {
	if err := sqlitex.ExecuteScript(conn, schema, nil); err != nil {
		return err
	}
	return within(conn, func() error {
		for id := 1; id <= accounts; id++ {
			if err := exec(conn, `INSERT INTO account VALUES (?, 1, 0)`, int64(id)); err != nil {
				return err
			}
			if err := exec(conn, `INSERT INTO mailbox VALUES (?, 1, 1)`, int64(id)); err != nil {
				return err
			}
		}
		return nil
	})
}

// within runs fn in one transaction.
func within(conn *sqlite.Conn, fn func() error) error {
	if err := exec(conn, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err // the caller ends the program
	}
	return exec(conn, "COMMIT")
}

// exec runs a prepared statement that returns nothing. The connection keeps it prepared.
func exec(conn *sqlite.Conn, query string, args ...any) error {
	_, _, err := row(conn, query, args...)
	return err
}

// row runs a prepared statement and returns the first column of its only row, if there is one.
func row(conn *sqlite.Conn, query string, args ...any) (value int64, found bool, err error) {
	stmt, err := conn.Prepare(query)
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w", query, err)
	}
	for i, arg := range args {
		switch v := arg.(type) {
		case int64:
			stmt.BindInt64(i+1, v)
		case []byte:
			stmt.BindBytes(i+1, v)
		}
	}
	found, err = stmt.Step()
	if found && err == nil {
		value = stmt.ColumnInt64(0)
		_, err = stmt.Step() // to its end, or RETURNING would stay open
	}
	if err := stmt.Reset(); err != nil {
		return 0, false, fmt.Errorf("%s: %w", query, err)
	}
	return value, found, err
}

// enqueue writes the queue row of a job.
func enqueue(conn *sqlite.Conn, j *job) error {
	return exec(conn, `INSERT INTO queue VALUES (?, 1, ?, ?, 0, ?)`, j.queueID, j.off, j.size, j.meta[:200])
}

// storeBody writes the whole record into the database, for the shape that has no pack.
func storeBody(conn *sqlite.Conn, j *job) error {
	return exec(conn, `INSERT INTO body VALUES (?, ?)`, j.queueID, j.record)
}

// dequeue ends a job that has a queue row.
func dequeue(conn *sqlite.Conn, j *job) error {
	return exec(conn, `DELETE FROM queue WHERE id = ?`, j.queueID)
}

// claim writes the ledger row of a delivery; false if it is there already, so that the delivery has been made.
func claim(conn *sqlite.Conn, j *job) (bool, error) {
	err := exec(conn, `INSERT OR IGNORE INTO delivered VALUES (?, 0)`, j.queueID)
	return err == nil && conn.Changes() == 1, err
}

// file puts a message into its mailbox.
func file(conn *sqlite.Conn, j *job) error {
	modseq, _, err := row(conn, `UPDATE account SET modseq = modseq + 1, used = used + ? WHERE id = ? RETURNING modseq`, j.size, j.account)
	if err != nil {
		return err
	}
	uid, _, err := row(conn, `UPDATE mailbox SET uidnext = uidnext + 1 WHERE account_id = ? AND id = 1 RETURNING uidnext - 1`, j.account)
	if err != nil {
		return err
	}
	if err := exec(conn, `INSERT INTO email VALUES (?, ?, 1, ?, ?, 0, ?)`, j.account, modseq, j.off, j.size, j.meta); err != nil {
		return err
	}
	return exec(conn, `INSERT INTO entry VALUES (?, 1, ?, ?, 0, 0, ?)`, j.account, uid, modseq, modseq)
}
