package main

import "sync"

// group collects items from many goroutines for one taker. The taker gets all that wait, in the order of arrival:
// while it works on one batch the next one forms, so the batch size follows the load and nobody waits for a timer.
type group[T any] struct {
	mu     sync.Mutex
	room   sync.Cond // signalled when the taker has emptied items
	items  []T
	spare  []T
	limit  int // add blocks while more than limit items wait; 0 means no limit
	closed bool
	wake   chan struct{}
}

func newGroup[T any](limit int) *group[T] {
	g := &group[T]{limit: limit, wake: make(chan struct{}, 1)}
	g.room.L = &g.mu
	return g
}

// add appends items; it blocks while the taker is too far behind.
func (g *group[T]) add(items ...T) {
	g.mu.Lock()
	for g.limit > 0 && len(g.items) > g.limit {
		g.room.Wait()
	}
	g.items = append(g.items, items...)
	g.mu.Unlock()
	g.nudge()
}

// push appends items without ever blocking: for the taker itself.
func (g *group[T]) push(items ...T) {
	g.mu.Lock()
	g.items = append(g.items, items...)
	g.mu.Unlock()
	g.nudge()
}

func (g *group[T]) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.nudge()
}

func (g *group[T]) nudge() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// take returns all waiting items, blocking until there is one; false after close, when none is left. The slice is
// valid until the next call of take.
func (g *group[T]) take() ([]T, bool) {
	for {
		g.mu.Lock()
		if len(g.items) > 0 {
			batch := g.items
			g.items, g.spare = g.spare[:0], batch
			g.room.Broadcast()
			g.mu.Unlock()
			return batch, true
		}
		closed := g.closed
		g.mu.Unlock()
		if closed {
			return nil, false
		}
		<-g.wake
	}
}
