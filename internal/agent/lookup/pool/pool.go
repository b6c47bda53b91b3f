// Package pool keeps connections to several servers that all know the same: bounded in number, used again while they are
// fresh, to hosts in random order, with fall-over. A host that could not be reached is left alone for a while; when all are
// in that state, one of them is tried once a second, and everybody else is refused at once.
//
// Nothing here waits longer than the context that is handed in: whoever asks sets it.
//
// Failures: Do returns an error for whatever kept the question from being answered; it never invents an answer.
package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Config says how a pool works.
type Config[C any] struct {
	Hosts []string
	Name  func(host string) string // what errors call a host; nil: as in Hosts
	// Dial connects to a host, and logs in.
	Dial  func(ctx context.Context, host string) (C, error)
	Close func(C)
	Max   int           // connections at once; who needs one more waits
	Idle  time.Duration // a connection that was unused for so long is closed
	Retry time.Duration // a host that failed is left alone for so long
	Now   func() time.Time
	Intn  func(int) int
}

// Pool is such connections. It is safe for concurrent use.
type Pool[C any] struct {
	Config[C]
	slots chan struct{}

	mu     sync.Mutex
	idle   []*entry[C] // the one used last at the end
	dead   map[string]time.Time
	probed time.Time // when all hosts are dead: when one was last tried
	closed bool
}

type entry[C any] struct {
	conn C
	host string
	used time.Time
}

// New makes a pool. It connects when it is asked.
func New[C any](c Config[C]) *Pool[C] {
	return &Pool[C]{Config: c, slots: make(chan struct{}, c.Max), dead: map[string]time.Time{}}
}

// Answered wraps an error that is the server's answer: the connection is sound, and another host would say the same.
type Answered struct{ Err error }

func (a Answered) Error() string { return a.Err.Error() }

// Unwrap is the error inside.
func (a Answered) Unwrap() error { return a.Err }

// probePause is the least time between two attempts when all hosts are dead.
const probePause = time.Second

// Do runs ask with a connection, and again with the next host if that fails, but for an Answered error. ask may therefore run
// more than once.
func (p *Pool[C]) Do(ctx context.Context, ask func(ctx context.Context, conn C) error) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return fmt.Errorf("all %d connections are in use: %w", p.Max, ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var errs []error
	for e := p.take(); e != nil; e = p.take() { // one that its server closed meanwhile says nothing about the host
		done, err := p.use(ctx, e, ask)
		if done || errors.Is(ctx.Err(), context.Canceled) {
			return err
		}
		if ctx.Err() != nil { // this host hangs, and so do its other connections; nothing is known of other hosts
			p.abandon(e.host)
			return fmt.Errorf("%s: %w", p.name(e.host), err)
		}
	}
	hosts := p.order()
	if len(hosts) == 0 {
		return errors.New("no server can be reached; each failed a short time ago")
	}
	for _, host := range hosts {
		conn, err := p.Dial(ctx, host)
		if err == nil {
			var done bool
			if done, err = p.use(ctx, &entry[C]{conn: conn, host: host}, ask); done {
				return err
			}
		}
		errs = append(errs, fmt.Errorf("%s: %w", p.name(host), err))
		if errors.Is(ctx.Err(), context.Canceled) {
			break // the client has gone; that says nothing about the host
		}
		p.bury(host)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// use asks, and keeps the connection or closes it. done: another would not do better.
func (p *Pool[C]) use(ctx context.Context, e *entry[C], ask func(context.Context, C) error) (done bool, err error) {
	kept := false
	defer func() {
		if !kept {
			p.Close(e.conn)
		}
	}()
	err = ask(ctx, e.conn)
	var answered Answered
	if err != nil && !errors.As(err, &answered) {
		return false, err
	}
	kept = p.put(e)
	return true, err
}

// take returns a connection that is fresh, and closes those that are not.
func (p *Pool[C]) take() (fresh *entry[C]) {
	p.mu.Lock()
	old := p.expire()
	if n := len(p.idle); n > 0 {
		fresh = p.idle[n-1]
		p.idle = p.idle[:n-1]
	}
	p.mu.Unlock()
	for _, e := range old {
		p.Close(e.conn)
	}
	return fresh
}

func (p *Pool[C]) expire() (old []*entry[C]) {
	n := 0
	for n < len(p.idle) && p.Now().Sub(p.idle[n].used) >= p.Idle {
		n++
	}
	old = p.idle[:n:n]
	p.idle = p.idle[n:]
	return old
}

// put keeps a connection for the next question.
func (p *Pool[C]) put(e *entry[C]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.dead, e.host)
	if p.closed || p.Idle <= 0 {
		return false
	}
	e.used = p.Now()
	p.idle = append(p.idle, e)
	return true
}

func (p *Pool[C]) name(host string) string {
	if p.Name == nil {
		return host
	}
	return p.Name(host)
}

// bury leaves a host alone for a while.
func (p *Pool[C]) bury(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead[host] = p.Now()
}

// abandon buries a host that hangs, and closes what is idle to it, for nobody else to hang on.
func (p *Pool[C]) abandon(host string) {
	p.bury(host)
	p.mu.Lock()
	var lost []*entry[C]
	p.idle = slices.DeleteFunc(p.idle, func(e *entry[C]) bool {
		if e.host == host {
			lost = append(lost, e)
		}
		return e.host == host
	})
	p.mu.Unlock()
	for _, e := range lost {
		p.Close(e.conn)
	}
}

// order returns the hosts to try: those that live, in random order; or one of the dead, if that is due.
func (p *Pool[C]) order() (hosts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.Now()
	for _, h := range p.Hosts {
		if at, dead := p.dead[h]; !dead || now.Sub(at) >= p.Retry {
			hosts = append(hosts, h)
		}
	}
	for i := len(hosts) - 1; i > 0; i-- {
		j := p.Intn(i + 1)
		hosts[i], hosts[j] = hosts[j], hosts[i]
	}
	if len(hosts) == 0 && now.Sub(p.probed) >= probePause {
		p.probed = now
		hosts = []string{p.Hosts[p.Intn(len(p.Hosts))]}
	}
	return hosts
}

// Shut closes what is idle, and each connection in use when it is given back.
func (p *Pool[C]) Shut() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, e := range idle {
		p.Close(e.conn)
	}
}
