package mta

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// quitTimeout is for the reply to QUIT, which nobody needs.
const quitTimeout = 5 * time.Second

// pool keeps connections between messages. Connections end in a timer's goroutine, where nobody waits for QUIT's reply.
type pool struct {
	max int

	mu     sync.Mutex
	idle   []*idle        // the oldest first
	ending sync.WaitGroup // idle connections, and those that say QUIT
}

type idle struct {
	c     *conn
	timer *time.Timer
}

func newPool(max int) *pool { return &pool{max: max} }

// take returns the youngest connection for k, nil if there is none.
func (p *pool) take(k key) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		e := p.idle[i]
		if e.c.key == k && e.timer.Stop() {
			p.remove(i)
			p.ending.Done()
			return e.c
		}
	}
	return nil
}

// addresses are those to which connections wait.
func (p *pool) addresses() map[netip.AddrPort]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	out := make(map[netip.AddrPort]bool, len(p.idle))
	for _, e := range p.idle {
		out[e.c.hop.addr] = true
	}
	return out
}

// keep takes a connection back, for at most d.
func (p *pool) keep(c *conn, d time.Duration) {
	most := c.key.set.MaxUses
	if !c.Usable() || most > 0 && c.used >= most || d <= 0 {
		p.discard(c)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &idle{c: c}
	p.ending.Add(1)
	e.timer = time.AfterFunc(d, func() { p.expire(e) })
	p.idle = append(p.idle, e)
	if len(p.idle) > p.max {
		p.endNow(p.idle[0])
		p.remove(0)
	}
}

// discard ends a connection without keeping the caller.
func (p *pool) discard(c *conn) {
	if !c.Usable() {
		_ = c.Close() // nothing was promised on it
		return
	}
	p.ending.Add(1)
	time.AfterFunc(0, func() { p.quit(c) })
}

// expire ends an idle connection whose time is over.
func (p *pool) expire(e *idle) {
	p.mu.Lock()
	for i := range p.idle {
		if p.idle[i] == e {
			p.remove(i)
			break
		}
	}
	p.mu.Unlock()
	p.quit(e.c)
}

func (p *pool) quit(c *conn) {
	defer p.ending.Done()
	ctx, cancel := context.WithTimeout(context.Background(), quitTimeout)
	defer cancel()
	_ = c.Quit(ctx) // politeness (RFC 5321 §4.1.1.10); the messages' fate is known
}

// endNow has the timer run at once, unless it runs already. p.mu is held.
func (p *pool) endNow(e *idle) {
	if e.timer.Stop() {
		e.timer.Reset(0)
	}
}

// remove is called with p.mu held.
func (p *pool) remove(i int) { p.idle = append(p.idle[:i], p.idle[i+1:]...) }

// close ends all connections.
func (p *pool) close() {
	p.mu.Lock()
	for _, e := range p.idle {
		p.endNow(e)
	}
	p.mu.Unlock()
	p.ending.Wait()
}
