package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// pack is one append-only file and its single writer. Whoever waits shares one write and one fdatasync.
type pack struct {
	f     *os.File
	nonce uint64
	end   int64 // where the next record goes; the writer's
	buf   []byte

	in     *group[*job]
	ended  chan error
	sync   *sync.Mutex // held around the sync when the shape keeps the syncs of pack and database apart; else nil
	syncs  atomic.Int64
	groups atomic.Int64

	written func([]*job) // after the write, before the sync
	synced  func([]*job) // after the sync

	// Leadership, for shapes without a writer goroutine.
	mu      sync.Mutex
	leading bool
	waiting []*job

	// The seam that DESIGN §3 calls durable.Wait.
	posMu   sync.Mutex
	posCond sync.Cond
	durable int64
}

func packName(dir string) string { return filepath.Join(dir, "0001.pack") }

// newPack creates the file, with zeros to the given length, and makes its directory entry durable.
func newPack(dir string, nonce uint64, zeroed int64) (*pack, error) {
	f, err := os.OpenFile(packName(dir), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	head := binary.LittleEndian.AppendUint64([]byte("PRpack01"), nonce)
	if _, err := f.Write(head); err != nil {
		return nil, err
	}
	// Page by page: Linux keeps a large write as one large folio and later writes all of it back for each small change
	// inside, 330 KiB a message when this was 1 MiB.
	for zeros := make([]byte, 4<<10); zeroed > 0; zeroed -= int64(len(zeros)) {
		if _, err := f.Write(zeros); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return nil, err
	}
	p := &pack{f: f, nonce: nonce, end: int64(len(head)), in: newGroup[*job](0), ended: make(chan error, 1)}
	p.posCond.L = &p.posMu
	p.durable = p.end
	return p, nil
}

// run is the writer goroutine.
func (p *pack) run() {
	for {
		batch, ok := p.in.take()
		if !ok {
			p.ended <- p.f.Close()
			return
		}
		if err := p.commit(batch); err != nil {
			fatal(err)
		}
	}
}

// commit appends one group and makes it durable. An error is final: after a failed sync nobody knows what is on disk.
func (p *pack) commit(batch []*job) error {
	p.buf = p.buf[:0]
	for _, j := range batch {
		j.off, j.size = p.end+int64(len(p.buf)), int64(len(j.record))
		p.buf = append(p.buf, j.record...)
	}
	if _, err := p.f.WriteAt(p.buf, p.end); err != nil {
		return fmt.Errorf("pack: write: %w", err)
	}
	p.end += int64(len(p.buf))
	if p.written != nil {
		p.written(batch)
	}
	if err := p.datasync(); err != nil {
		return fmt.Errorf("pack: sync: %w", err)
	}
	p.groups.Add(1)
	p.advance(p.end)
	if p.synced != nil {
		p.synced(batch)
	}
	return nil
}

func (p *pack) datasync() error {
	if p.sync != nil {
		p.sync.Lock()
		defer p.sync.Unlock()
	}
	p.syncs.Add(1)
	return unix.Fdatasync(int(p.f.Fd()))
}

func (p *pack) advance(pos int64) {
	p.posMu.Lock()
	p.durable = pos
	p.posMu.Unlock()
	p.posCond.Broadcast()
}

// wait returns when everything before pos is durable.
func (p *pack) wait(pos int64) {
	p.posMu.Lock()
	for p.durable < pos {
		p.posCond.Wait()
	}
	p.posMu.Unlock()
}

// lead is the acceptance without a writer goroutine: the first session that comes writes for all that have come by
// then and names its successor from those who came meanwhile. At one session there is no goroutine switch at all.
func (p *pack) lead(j *job) error {
	p.mu.Lock()
	p.waiting = append(p.waiting, j)
	if p.leading {
		p.mu.Unlock()
		if a := <-j.done; !a.lead {
			return a.err
		}
		p.mu.Lock()
	}
	p.leading = true
	batch := p.waiting
	p.waiting = nil
	p.mu.Unlock()

	err := p.commit(batch)
	for _, other := range batch {
		if other != j {
			other.done <- answer{err: err}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leading = len(p.waiting) > 0; p.leading {
		p.waiting[0].done <- answer{lead: true}
	}
	return err
}
