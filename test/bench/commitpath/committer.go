package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
)

// trimWindow is by how much queue ids in the pack may be out of order: more than there can be jobs in flight. Ledger
// rows older than that, below the settled position, are of no use to any replay.
const trimWindow = 4096

// op is one function of a group commit and what follows once it is durable.
type op struct {
	j     *job
	apply func(*sqlite.Conn, *job) error
	then  func(*job) // may be nil
	files bool       // this op puts the message into its mailbox
}

// committer is the database's single writer: all functions that wait run in one transaction.
type committer struct {
	conn     *sqlite.Conn
	in       *group[op]
	ended    chan error
	pace     time.Duration // at least this long between two commits, unless fullGroup wait
	journal  bool          // advance the settled position and trim the ledger
	savepts  bool          // each op in its own savepoint
	syncMu   *sync.Mutex   // see pack.sync
	before   func([]op)    // after the commit, before the answers; may be nil
	pause    sync.Mutex    // held during a transaction; the checkpointer takes it for the last step
	last     time.Time
	commits  atomic.Int64
	ops      atomic.Int64
	filed    atomic.Int64
	settled  int64
	trimmed  int64
	ckptSync atomic.Int64
	maxWAL   atomic.Int64
}

const fullGroup = 64

func (c *committer) run() {
	for {
		batch, ok := c.in.take()
		if !ok {
			c.ended <- nil
			return
		}
		c.waitTurn(len(batch))
		if err := c.commit(batch); err != nil {
			fatal(err)
		}
	}
}

// waitTurn spaces commits when the shape asks for it: a lone message after a quiet time goes at once.
func (c *committer) waitTurn(have int) {
	if c.pace == 0 {
		return
	}
	if rest := c.pace - time.Since(c.last); rest > 0 && have < fullGroup {
		time.Sleep(rest)
	}
	c.last = time.Now()
}

func (c *committer) commit(batch []op) error {
	c.pause.Lock()
	err := c.transact(batch)
	c.pause.Unlock()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	c.commits.Add(1)
	c.ops.Add(int64(len(batch)))
	if c.before != nil {
		c.before(batch)
	}
	filed := 0
	for _, o := range batch {
		if o.files {
			filed++
		}
		if o.then != nil {
			o.then(o.j)
		}
	}
	c.filed.Add(int64(filed))
	return nil
}

func (c *committer) transact(batch []op) error {
	if err := exec(c.conn, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, o := range batch {
		if err := c.apply(o); err != nil {
			return err
		}
	}
	if c.journal {
		if err := c.settle(batch); err != nil {
			return err
		}
	}
	if c.syncMu != nil {
		c.syncMu.Lock()
		defer c.syncMu.Unlock()
	}
	return exec(c.conn, "COMMIT")
}

func (c *committer) apply(o op) error {
	if !c.savepts {
		return o.apply(c.conn, o.j)
	}
	if err := exec(c.conn, "SAVEPOINT op"); err != nil {
		return err
	}
	if err := o.apply(c.conn, o.j); err != nil {
		return err
	}
	return exec(c.conn, "RELEASE op")
}

// settle moves the settled position in the transaction that delivers. Jobs come in the order of the pack, so the end
// of the batch is the position; a server with several deliverers keeps the lowest unsettled record instead.
func (c *committer) settle(batch []op) error {
	last := batch[len(batch)-1].j
	c.settled = last.off + last.size
	if err := exec(c.conn, `UPDATE pack SET settled = ? WHERE id = 1`, c.settled); err != nil {
		return err
	}
	if floor := batch[0].j.queueID - trimWindow; floor > c.trimmed+trimWindow {
		c.trimmed = floor
		return exec(c.conn, `DELETE FROM delivered WHERE queue_id < ?`, floor)
	}
	return nil
}

// checkpoint copies the WAL into the database in two steps: the bulk beside the writer, the rest while the writer
// pauses between two groups. Only after the second is the whole WAL copied, and only then does the next transaction
// start again at its beginning; a checkpoint that only ever runs beside a busy writer lets the WAL grow without end.
func (c *committer) checkpoint(conn *sqlite.Conn, dir string) error {
	if err := c.passive(conn); err != nil {
		return err
	}
	c.pause.Lock()
	defer c.pause.Unlock()
	if info, err := os.Stat(filepath.Join(dir, "store.db-wal")); err == nil {
		c.maxWAL.Store(max(c.maxWAL.Load(), info.Size()))
	}
	c.ckptSync.Add(1) // the WAL's new header, synced by the next transaction
	return c.passive(conn)
}

func (c *committer) passive(conn *sqlite.Conn) error {
	busy, _, err := row(conn, "PRAGMA wal_checkpoint(PASSIVE)")
	if err != nil || busy != 0 {
		return fmt.Errorf("checkpoint: busy %d: %w", busy, err)
	}
	c.ckptSync.Add(2) // the WAL, then the database
	return nil
}

// checkpointEvery is the checkpointer goroutine.
func (c *committer) checkpointEvery(conn *sqlite.Conn, dir string, every time.Duration, stop <-chan struct{}) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for seen := int64(0); ; {
		select {
		case <-stop:
			return c.checkpoint(conn, dir)
		case <-tick.C:
		}
		if n := c.commits.Load(); n != seen {
			seen = n
			if err := c.checkpoint(conn, dir); err != nil {
				return err
			}
		}
	}
}
