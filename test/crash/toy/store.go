package main

import (
	"fmt"
	"os"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const schema = `
CREATE TABLE IF NOT EXISTS message(uid INTEGER PRIMARY KEY, token TEXT NOT NULL, pack INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS delivered(token TEXT PRIMARY KEY) WITHOUT ROWID;`

type delivery struct {
	token string
	at    place
	done  chan delivered
}

type delivered struct {
	uid int64
	err error
}

// store has one writer; those who wait share its commits.
type store struct {
	conn    *sqlite.Conn
	in      chan delivery
	end     chan error
	commits int
}

func openConn(dir string) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(dir+"/store.db", sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenWAL)
	if err != nil {
		return nil, err
	}
	level := "FULL"
	if !syncWAL {
		level = "OFF"
	}
	for _, pragma := range []string{"synchronous=" + level, "wal_autocheckpoint=0"} {
		if err := sqlitex.ExecuteTransient(conn, "PRAGMA "+pragma, nil); err != nil {
			return nil, err
		}
	}
	return conn, sqlitex.ExecuteScript(conn, schema, nil)
}

func openStore(dir string) (*store, error) {
	conn, err := openConn(dir)
	if err != nil {
		return nil, err
	}
	s := &store{conn: conn, in: make(chan delivery, 64), end: make(chan error)}
	go s.run()
	return s, nil
}

// deliver queues; whoever promised the commit waits for the answer.
func (s *store) deliver(token string, at place) <-chan delivered {
	done := make(chan delivered, 1)
	s.in <- delivery{token, at, done}
	return done
}

func (s *store) close() error {
	close(s.in)
	return <-s.end
}

func (s *store) run() {
	for first := range s.in {
		group := []delivery{first}
		for len(s.in) > 0 && len(group) < cap(s.in) {
			group = append(group, <-s.in)
		}
		uids, err := s.commit(group)
		if err != nil {
			fmt.Fprintln(os.Stderr, "toy: store:", err)
			os.Exit(1)
		}
		for i, d := range group {
			d.done <- delivered{uids[i], nil}
		}
	}
	s.end <- s.conn.Close()
}

// commit delivers a group in one transaction, and now and then moves the WAL
// into the database, so that the proofs see that too.
func (s *store) commit(group []delivery) (uids []int64, err error) {
	end, err := sqlitex.ImmediateTransaction(s.conn)
	if err != nil {
		return nil, err
	}
	for _, d := range group {
		uid, err := insert(s.conn, d.token, d.at)
		if err != nil {
			end(&err)
			return nil, err
		}
		uids = append(uids, uid)
	}
	if end(&err); err != nil {
		return nil, err
	}
	if s.commits++; s.commits%16 == 0 {
		err = sqlitex.ExecuteTransient(s.conn, "PRAGMA wal_checkpoint(PASSIVE)", nil)
	}
	return uids, err
}

// insert delivers once: the ledger row and the message are one transaction.
func insert(conn *sqlite.Conn, token string, at place) (uid int64, err error) {
	err = sqlitex.Execute(conn, "INSERT OR IGNORE INTO delivered VALUES(?)", &sqlitex.ExecOptions{Args: []any{token}})
	if err != nil || conn.Changes() == 0 {
		return 0, err
	}
	err = sqlitex.Execute(conn, "INSERT INTO message(token, pack, at) VALUES(?,?,?)",
		&sqlitex.ExecOptions{Args: []any{token, at.pack, at.at}})
	return conn.LastInsertRowID(), err
}
