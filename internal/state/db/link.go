package db

import "zombiezen.com/go/sqlite"

// link is one connection of an engine, for what is done to the connection as a whole. Statements go through Tx.
type link interface {
	begin(role) error     // a transaction for writing or for reading one snapshot
	run(sql string) error // a statement without parameters and rows
	inTx() bool           // whether a transaction is open; the engine may have ended it
	lost() bool           // whether the connection is of no use any more
	serve(*Tx)            // tx works on this connection from now on
	Close() error
}

// sqliteLink is a connection to a file or to memory.
type sqliteLink struct{ *sqlite.Conn }

func (l sqliteLink) begin(r role) error {
	if r == roleWriter {
		return run(l.Conn, sqlBeginImmediate)
	}
	return run(l.Conn, sqlBegin)
}

func (l sqliteLink) run(sql string) error { return run(l.Conn, sql) }
func (l sqliteLink) inTx() bool           { return !l.AutocommitEnabled() }
func (l sqliteLink) lost() bool           { return false }
func (l sqliteLink) serve(tx *Tx)         { tx.conn = l.Conn }
