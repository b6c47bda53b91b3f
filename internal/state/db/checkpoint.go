package db

import (
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"zombiezen.com/go/sqlite"
)

// noteCommit looks at the length of the log after a commit and wakes the checkpointer. The caller holds commitMu.
func (d *DB) noteCommit() {
	if d.memory || d.pg != nil {
		return
	}
	// NOOP reports the length of the log and moves nothing (SQLite 3.51).
	frames, err := pragmaCached(d.writer, "PRAGMA wal_checkpoint(NOOP)")
	if err != nil {
		d.log.Warn("length of the write-ahead log unknown", "err", err)
		frames[1] = d.opt.CheckpointBytes // let the checkpointer look
	}
	before := d.stats.logPages.Swap(frames[1])
	if frames[1] < before {
		before = 0 // the log has started over
	}
	d.stats.written.Add(frames[1] - before)
	poke(d.kick)
	if frames[1]*d.opt.pageSize >= d.opt.CheckpointBytes {
		poke(d.urgent)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// checkpointer moves the log into the database when the log has its size or its age. It ends with the writer.
func (d *DB) checkpointer(conn *sqlite.Conn) {
	defer close(d.ckptDone)
	defer func() {
		if err := conn.Close(); err != nil {
			d.log.Error("close of the checkpointer", "err", err)
		}
	}()
	timer := time.NewTimer(d.opt.CheckpointDelay)
	timer.Stop()
	defer timer.Stop()
	kick := d.kick
	for {
		select {
		case <-d.stopped:
			return
		case <-kick:
			// The clock starts with the first commit that is not in the database yet.
			timer.Reset(d.opt.CheckpointDelay)
			kick = nil
			continue
		case <-d.urgent:
		case <-timer.C:
		}
		timer.Stop()
		kick = d.kick
		if err := d.checkpoint(conn); err != nil {
			d.log.Warn("checkpoint put off", "err", err)
			// The pages are safe in the log; try again after the delay.
			timer.Reset(d.opt.CheckpointDelay)
			kick = nil
		}
	}
}

// checkpoint moves the log into the database: most of it beside the writer, then the rest with the writer held for a
// moment, so that the log can start over. A reader with an old snapshot can prevent that; the next one tries again.
func (d *DB) checkpoint(conn *sqlite.Conn) error {
	if d.failed() != nil {
		return nil
	}
	done, err := d.moveLog(conn, "PRAGMA wal_checkpoint(PASSIVE)")
	if err != nil || done {
		return err
	}
	d.commitMu.Lock()
	defer d.commitMu.Unlock()
	_, err = d.moveLog(conn, "PRAGMA wal_checkpoint(PASSIVE)")
	return err
}

// truncate empties the log at the end.
func (d *DB) truncate() error {
	done, err := d.moveLog(d.writer, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err == nil && !done {
		d.log.Warn("the write-ahead log could not be emptied; the next start reads it")
	}
	return err
}

// moveLog runs one checkpoint. done tells whether everything in the log is in the database.
func (d *DB) moveLog(conn *sqlite.Conn, sql string) (done bool, err error) {
	// The row is: could not get a lock, pages in the log, pages of it moved.
	row, err := pragmaCached(conn, sql)
	if err != nil {
		switch sqliteSeverity(err, d.dir) {
		case sevNoSpace:
			return false, status.ErrNoSpace.With("db: checkpoint", err)
		case sevFatal:
			return false, d.fail("checkpoint", err)
		}
		return false, fmt.Errorf("db: checkpoint: %w", err)
	}
	d.stats.checkpoints.Add(1)
	return row[0] == 0 && row[1] == row[2], nil
}

// pragmaCached is pragma with a statement that is kept.
func pragmaCached(conn *sqlite.Conn, sql string) ([3]int64, error) {
	var out [3]int64
	stmt, err := conn.Prepare(sql)
	if err != nil {
		return out, err
	}
	row, err := stmt.Step()
	if err != nil {
		return out, err
	}
	if row {
		out = [3]int64{stmt.ColumnInt64(0), stmt.ColumnInt64(1), stmt.ColumnInt64(2)}
	}
	return out, errors.Join(stmt.Reset())
}
