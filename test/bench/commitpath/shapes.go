package main

import (
	"os"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
)

// shape is one way from the end of DATA to the answer.
type shape struct {
	name  string
	about string
	kind  kind
	opt   options
}

type kind int

const (
	journal  kind = iota // answer after the pack's sync; deliver afterwards
	rows                 // pack sync, then queue row committed, then the answer
	rowsBoth             // the same, both syncs at once
	walBody              // record and queue row in the database, one sync
	direct               // delivered before the answer, no queue row, both syncs at once
)

type options struct {
	leader  bool          // no pack writer goroutine: a session leads
	pace    time.Duration // see committer
	serial  bool          // one goroutine does pack sync and commit in turn
	token   bool          // never two syncs at once
	savepts bool
	zeroed  int64 // bytes of the pack written beforehand, so that a sync has no length to record
}

// mainShapes are the opponents. The journal comes first: ratios are to it.
func mainShapes() []shape {
	return []shape{
		{"J", "accept journal: answer after the pack's sync", journal, options{}},
		{"Q", "queue row for every message: pack sync, then commit", rows, options{}},
		{"QP", "queue rows, pack sync and commit in parallel", rowsBoth, options{}},
		{"QW", "record and queue row in the WAL: one sync", walBody, options{}},
		{"D", "filed before the answer, syncs in parallel", direct, options{}},
	}
}

// tuneShapes are ways to build the journal.
func tuneShapes() []shape {
	return []shape{
		{"J", "as above: writer goroutine, committer on its own", journal, options{}},
		{"J/lead", "a session leads the group, no writer goroutine", journal, options{leader: true}},
		{"J/5ms", "commits at least 5 ms apart", journal, options{pace: 5 * time.Millisecond}},
		{"J/zero", "the first 64 MiB of the pack written with zeros beforehand", journal, options{zeroed: 64 << 20}},
		{"J/token", "never two syncs at once", journal, options{token: true}},
		{"J/serial", "one goroutine: pack sync, answers, commit", journal, options{serial: true}},
		{"J/savept", "each delivery in a savepoint", journal, options{savepts: true}},
	}
}

// pipeline is a running shape.
type pipeline struct {
	shape  shape
	dir    string
	pack   *pack // also opened by walBody, which leaves it empty
	db     *committer
	second *sqlite.Conn // the checkpointer's
	stop   chan struct{}
	ckpt   chan error
}

const maxBacklog = 1024 // jobs that may wait for delivery before acceptance waits too

func startPipeline(s shape, dir string, accounts, pageSize int) (*pipeline, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	p := &pipeline{shape: s, dir: dir, stop: make(chan struct{}), ckpt: make(chan error, 1)}
	var err error
	if p.pack, err = newPack(dir, 0x9e3779b97f4a7c15, s.opt.zeroed); err != nil {
		return nil, err
	}
	conn, err := openConn(dir, pageSize)
	if err != nil {
		return nil, err
	}
	if err := createStore(conn, accounts); err != nil {
		return nil, err
	}
	if p.second, err = openConn(dir, pageSize); err != nil {
		return nil, err
	}
	p.db = &committer{
		conn: conn, in: newGroup[op](maxBacklog), ended: make(chan error, 1), pace: s.opt.pace,
		journal: s.kind == journal, savepts: s.opt.savepts,
	}
	if s.opt.token {
		p.pack.sync = new(sync.Mutex)
		p.db.syncMu = p.pack.sync
	}
	p.wire()
	if !s.opt.leader {
		go p.pack.run()
	}
	if !s.opt.serial {
		go p.db.run()
	}
	go func() { p.ckpt <- p.db.checkpointEvery(p.second, dir, 250*time.Millisecond, p.stop) }()
	return p, nil
}

// wire sets what follows the pack's write and sync.
func (p *pipeline) wire() {
	switch p.shape.kind {
	case journal:
		p.pack.synced = p.journalSynced
	case rows:
		p.pack.synced = func(batch []*job) { p.db.in.add(ops(batch, p.enqueueOp)...) }
	case rowsBoth:
		p.pack.written = func(batch []*job) { p.db.in.add(ops(batch, p.enqueueOp)...) }
		p.db.before = p.waitPack
	case direct:
		p.pack.written = func(batch []*job) { p.db.in.add(ops(batch, directOp)...) }
		p.db.before = p.waitPack
	}
}

// waitPack holds the answers back until the bodies are durable too. A row whose body did not survive a power cut was
// never answered for; a start would drop it.
func (p *pipeline) waitPack(batch []op) {
	end := int64(0)
	for _, o := range batch {
		end = max(end, o.j.off+o.j.size)
	}
	p.pack.wait(end)
}

func (p *pipeline) journalSynced(batch []*job) {
	if !p.shape.opt.leader { // a leader answers its followers itself
		for _, j := range batch {
			j.done <- answer{}
		}
	}
	deliver := ops(batch, journalOp)
	if !p.shape.opt.serial {
		p.db.in.add(deliver...)
		return
	}
	if err := p.db.commit(deliver); err != nil {
		fatal(err)
	}
}

func ops(batch []*job, make1 func(*job) op) []op {
	out := make([]op, len(batch))
	for i, j := range batch {
		out[i] = make1(j)
	}
	return out
}

func journalOp(j *job) op { return op{j: j, apply: deliverOnce, files: true} }

func directOp(j *job) op {
	return op{j: j, apply: deliverOnce, files: true, then: acknowledge}
}

func (p *pipeline) enqueueOp(j *job) op {
	return op{j: j, apply: enqueue, then: p.acknowledgeAndDeliver}
}

// deliverOnce files a message unless the ledger says that it has been filed.
func deliverOnce(conn *sqlite.Conn, j *job) error {
	fresh, err := claim(conn, j)
	if err != nil || !fresh {
		return err
	}
	return file(conn, j)
}

// deliverQueued files a message and ends its queue row, which is its ledger.
func deliverQueued(conn *sqlite.Conn, j *job) error {
	if err := file(conn, j); err != nil {
		return err
	}
	return dequeue(conn, j)
}

func acknowledge(j *job) { j.done <- answer{} }

func (p *pipeline) acknowledgeAndDeliver(j *job) {
	acknowledge(j)
	p.db.in.push(op{j: j, apply: deliverQueued, files: true})
}

// accept is what a session calls at the end of DATA; nil means 250.
func (p *pipeline) accept(j *job) error {
	switch {
	case p.shape.kind == walBody:
		p.db.in.add(op{j: j, then: p.acknowledgeAndDeliver, apply: func(conn *sqlite.Conn, j *job) error {
			if err := storeBody(conn, j); err != nil {
				return err
			}
			return enqueue(conn, j)
		}})
	case p.shape.opt.leader:
		return p.pack.lead(j)
	default:
		p.pack.in.add(j)
	}
	return (<-j.done).err
}

// drain returns when n messages are filed and the WAL is copied, so that every shape has paid all it owes.
func (p *pipeline) drain(n int64) error {
	for p.db.filed.Load() < n {
		time.Sleep(200 * time.Microsecond)
	}
	close(p.stop)
	return <-p.ckpt
}

// close ends the goroutines and closes the files.
func (p *pipeline) close() error {
	if p.shape.opt.leader {
		p.pack.ended <- p.pack.f.Close()
	} else {
		p.pack.in.close()
	}
	if err := <-p.pack.ended; err != nil {
		return err
	}
	if p.shape.opt.serial {
		p.db.ended <- nil
	} else {
		p.db.in.close()
	}
	if err := <-p.db.ended; err != nil {
		return err
	}
	if err := p.second.Close(); err != nil {
		return err
	}
	return p.db.conn.Close()
}
