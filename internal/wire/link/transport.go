package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Signal is a set of reasons to wake a connection that waits for its client. An engine names its own, one bit each.
type Signal uint8

// ErrWoken is what a Read returns when a signal came that is listened to.
var ErrWoken = errors.New("woken")

// Activity is how far a connection is, for those who look from outside.
type Activity struct {
	Command  string // the last; empty: none yet
	Commands int
	In, Out  int64 // bytes, without those of TLS
	TLS      string
}

// Error is a failure of the connection, as opposed to one of a Backend's, whatever it wraps.
type Error struct{ err error }

func (e *Error) Error() string { return "connection: " + e.err.Error() }

// Unwrap returns what the connection said.
func (e *Error) Unwrap() error { return e.err }

// Failure makes err an *Error, unless it is nil or ErrWoken.
func Failure(err error) error {
	if err == nil || err == ErrWoken {
		return err
	}
	return &Error{err}
}

// Transport is the connection below the buffers. Each Read and Write has a deadline of its own, so that a slow client is
// ended and a busy one is not. A waiting Read can be woken by a signal: it is the read deadline that wakes it, so a
// waiting connection needs no second goroutine.
type Transport struct {
	net.Conn // the plain or TLS connection
	clock    func() time.Time
	write    time.Duration // for one Write
	in, out  int64         // bytes so far; only the connection's goroutine touches them

	mu      sync.Mutex
	patient time.Duration // for the next Read
	until   time.Time     // no Read waits longer than this; zero: no such limit
	listen  Signal        // which signals wake a Read
	pending Signal
	reading bool
	shaking context.CancelFunc // ends the handshake that is under way; nil: none is
	seen    Activity           // for those who look from outside
}

// NewTransport begins with the patience for the first Read.
func NewTransport(nc net.Conn, clock func() time.Time, patience, write time.Duration) *Transport {
	return &Transport{Conn: nc, clock: clock, write: write, patient: patience}
}

// Note tells those who look from outside that a command begins; name may be empty for one that there is not.
func (t *Transport) Note(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.Commands++
	t.seen.In, t.seen.Out = t.in, t.out
	if name != "" {
		t.seen.Command = name
	}
}

// In and Out are the bytes so far, without those of TLS; for the connection's own goroutine.
func (t *Transport) In() int64 { return t.in }

// Out: see In.
func (t *Transport) Out() int64 { return t.out }

// StartTLS runs the server's side of a handshake, within TLSTimeout, and goes on under its protection. Any signal ends it: a
// client that says nothing must not hold up a server that ends.
func (t *Transport) StartTLS(ctx context.Context, config *tls.Config, shared *Shared) (*tls.ConnectionState, error) {
	if config == nil {
		return nil, errors.New("no TLS configuration")
	}
	// The deadline of the last Read would end the handshake; the context's takes its place.
	if err := t.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.mu.Lock()
	if t.shaking = cancel; t.pending != 0 {
		cancel()
	}
	t.mu.Unlock()
	up, err := shared.Handshake(ctx, t.Conn, config, TLSTimeout)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shaking = nil
	if err != nil {
		return nil, err
	}
	state := up.ConnectionState()
	t.Conn = up
	t.seen.TLS = TLSText(&state)
	return &state, nil
}

// Limit sets the time beyond which no Read waits; zero: none.
func (t *Transport) Limit(until time.Time) {
	t.mu.Lock()
	t.until = until
	t.mu.Unlock()
}

// Activity is how far the connection is. It may be called by anyone at any time.
func (t *Transport) Activity() Activity {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

// Wait sets how long Reads wait from now on, and which signals wake them.
func (t *Transport) Wait(d time.Duration, listen Signal) {
	t.mu.Lock()
	t.patient, t.listen = d, listen
	t.mu.Unlock()
}

// Notify delivers a signal. It does not block.
func (t *Transport) Notify(s Signal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending |= s
	if t.shaking != nil {
		t.shaking()
	}
	if t.reading && t.listen&s != 0 {
		// A failing SetReadDeadline means a connection that is closed, and whose Read has returned.
		_ = t.SetReadDeadline(time.Unix(1, 0))
	}
}

// Take returns and clears a pending signal.
func (t *Transport) Take(s Signal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	got := t.pending & s
	t.pending &^= s
	return got != 0
}

// Has tells whether a signal is pending.
func (t *Transport) Has(s Signal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pending&s != 0
}

// Read returns ErrWoken when a signal came that is listened to; it stays pending.
func (t *Transport) Read(p []byte) (int, error) {
	t.mu.Lock()
	if t.pending&t.listen != 0 {
		t.mu.Unlock()
		return 0, ErrWoken
	}
	deadline := t.clock().Add(t.patient)
	if !t.until.IsZero() && t.until.Before(deadline) {
		deadline = t.until
	}
	t.reading = true
	t.seen.In, t.seen.Out = t.in, t.out
	err := t.SetReadDeadline(deadline)
	t.mu.Unlock()
	if err != nil {
		return 0, Failure(err)
	}
	n, err := t.Conn.Read(p)
	t.in += int64(n)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reading = false
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && t.pending&t.listen != 0 {
		err = ErrWoken
	}
	return n, Failure(err)
}

func (t *Transport) Write(p []byte) (int, error) {
	if err := t.SetWriteDeadline(t.clock().Add(t.write)); err != nil {
		return 0, Failure(err)
	}
	n, err := t.Conn.Write(p)
	t.out += int64(n)
	return n, Failure(err)
}
