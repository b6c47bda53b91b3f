package db

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/durable"
)

// request is one function on its way through the writer.
type request struct {
	fn    func(*Tx) error
	state atomic.Int32
	done  chan error  // capacity 1; nil if answer is set
	reply func(error) // Submit
	err   error       // what fn returned
}

// A request goes from queued to running or to withdrawn, decided by one compare-and-swap.
const (
	queued int32 = iota
	running
	withdrawn
)

func (r *request) answer(err error) {
	if r.reply != nil {
		r.reply(err)
		return
	}
	r.done <- err
}

// Write runs fn in a write transaction that it shares with other functions, and returns once the transaction is durable
// or fn's effects are gone. While fn waits for its turn, the end of ctx withdraws it; once it runs it completes.
func (d *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	r := &request{fn: fn, done: make(chan error, 1)}
	if err := d.enqueue(ctx, r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.state.CompareAndSwap(queued, withdrawn) {
			return ctx.Err()
		}
		return <-r.done
	}
}

// Submit is Write for callers who do not wait: done (may be nil) is called exactly once, on the writer's goroutine, so it
// must be brief and call nothing of this DB that waits. Submit itself waits only while the queue is full. Functions run
// in the order in which they were submitted by one goroutine. If Submit returns an error, fn will not run and done is not
// called.
func (d *DB) Submit(ctx context.Context, fn func(*Tx) error, done func(error)) error {
	if done == nil {
		done = func(error) {}
	}
	return d.enqueue(ctx, &request{fn: fn, reply: done})
}

func (d *DB) enqueue(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.closing.RLock()
	defer d.closing.RUnlock()
	if d.closed {
		return status.ErrShutdown
	}
	if err := d.failed(); err != nil {
		return err
	}
	select {
	case d.queue <- r:
		return nil
	default:
	}
	select {
	case d.queue <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write is the writer goroutine.
func (d *DB) write() {
	defer close(d.stopped)
	for r := range d.queue {
		d.runBatch(r)
	}
}

// runBatch runs first and what is queued behind it in one transaction and answers all of them.
func (d *DB) runBatch(first *request) {
	d.commitMu.Lock()
	d.batch = d.batch[:0]
	dirty, err := d.runRequests(first)
	if err == nil && dirty {
		err = d.commit()
	}
	d.commitMu.Unlock()
	if err == nil {
		// The seam for a replica's answer. It outlives every caller's context: what is committed is committed.
		at := durable.Position{Log: durable.Database, Offset: d.stats.commits.Load()}
		err = d.opt.Durable.Wait(context.Background(), at)
	}
	d.acknowledge(err)
}

// acknowledge answers the batch: with err if it concerns them all, else each with what its function returned.
func (d *DB) acknowledge(err error) {
	for i, r := range d.batch {
		if err != nil {
			r.answer(err)
		} else {
			r.answer(r.err)
		}
		d.batch[i] = nil
	}
	d.batch = d.batch[:0]
}

// runRequests begins the transaction and runs functions in it until nobody waits or the batch is full. Every function
// was run stands in d.batch afterwards. dirty tells whether one of them succeeded: then the transaction is open and wants
// its commit. The error is one that concerns them all; no transaction is open then.
func (d *DB) runRequests(first *request) (dirty bool, err error) {
	if err := d.begin(); err != nil {
		if first.state.CompareAndSwap(queued, running) {
			d.batch = append(d.batch, first)
		}
		return false, err
	}
	var deadline time.Time
	for r := first; r != nil; r = d.next(&deadline) {
		if !r.state.CompareAndSwap(queued, running) {
			continue // withdrawn
		}
		d.batch = append(d.batch, r)
		d.stats.writes.Add(1)
		var lost error
		if dirty {
			lost = d.runInSavepoint(r)
		} else {
			lost = d.runAlone(r)
		}
		if lost != nil {
			return false, lost
		}
		dirty = dirty || r.err == nil
	}
	if !dirty {
		return false, d.rollback()
	}
	return true, nil
}

// next returns the next waiting request, or nil when the batch should be committed. It gives the others one chance to
// queue up what they were just woken for.
func (d *DB) next(deadline *time.Time) *request {
	if len(d.batch) >= d.opt.MaxBatch {
		return nil
	}
	now := d.opt.Now()
	if deadline.IsZero() {
		*deadline = now.Add(defaultMaxBatchTime)
	} else if now.After(*deadline) {
		return nil
	}
	for try := 0; ; try++ {
		select {
		case r := <-d.queue: // nil when closed and empty
			return r
		default:
		}
		if try == 1 {
			return nil
		}
		runtime.Gosched()
	}
}

// begin starts a transaction that holds the write lock.
func (d *DB) begin() error {
	if err := d.failed(); err != nil {
		return err
	}
	err := d.link.begin(roleWriter)
	if err != nil && d.link.lost() {
		// Nothing has run yet: a connection that was lost before costs nobody his write.
		if err := d.pg.revive(d); err != nil {
			return err
		}
		err = d.link.begin(roleWriter)
	}
	return d.wrap("begin", err)
}

// runAlone runs a function before which nothing in this transaction is worth keeping: without a savepoint (which costs a
// copy of every page it touches). Where it fails the transaction starts over.
func (d *DB) runAlone(r *request) error {
	if d.runFn(r); r.err == nil {
		return nil
	}
	if err := d.rollback(); err != nil {
		return err
	}
	return d.begin()
}

// runInSavepoint runs a function whose failure must not touch those before it.
func (d *DB) runInSavepoint(r *request) error {
	if err := d.link.run(sqlSavepoint); err != nil {
		return d.abandon("savepoint", err)
	}
	d.runFn(r)
	if r.err != nil {
		if !d.link.inTx() {
			// Everything is rolled back: SQLite may do that when the disk is full, PostgreSQL does when the connection is
			// lost. The others' work is gone too.
			if err := d.failed(); err != nil {
				return err
			}
			if d.pg != nil {
				return ErrUnavailable.With("db: transaction lost", r.err)
			}
			return status.ErrNoSpace.With("db: transaction lost", r.err)
		}
		if err := d.link.run(sqlRollbackTo); err != nil {
			return d.abandon("rollback to savepoint", err)
		}
	}
	if err := d.link.run(sqlRelease); err != nil {
		return d.abandon("release savepoint", err)
	}
	return nil
}

func (d *DB) runFn(r *request) {
	d.wtx.start(context.Background()) // once begun it completes, whatever its caller's context says
	r.err = d.call(r.fn, &d.wtx)
	d.wtx.finish()
	if r.err == nil {
		r.err = d.wtx.err // an error that the function did not pass on
	}
}

// rollback ends the transaction, which the engine may have ended already.
func (d *DB) rollback() error {
	if !d.link.inTx() {
		return d.failed()
	}
	if err := d.link.run(sqlRollback); err != nil && !d.link.lost() {
		return d.fail("rollback", err)
	}
	return d.failed()
}

// abandon gives up a transaction because of err.
func (d *DB) abandon(op string, err error) error {
	err = d.wrap(op, err)
	return errors.Join(err, d.rollback())
}

// commit makes the transaction durable. With no space nothing is acknowledged and the server goes on; any other failure
// of a commit that leaves open what is on the disk is fatal.
func (d *DB) commit() error {
	if err := d.failed(); err != nil {
		return errors.Join(err, d.rollback())
	}
	err := d.link.run(sqlCommit)
	if err != nil && d.pg != nil {
		err = d.pg.settle(d, err)
	}
	if err == nil {
		d.stats.commits.Add(1)
		d.noteCommit()
		return nil
	}
	if d.undone(err) {
		return d.abandon("commit", err)
	}
	return errors.Join(d.fail("commit", err), d.rollback())
}
