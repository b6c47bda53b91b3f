package imap

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// signal is a reason to wake a connection that waits for its client.
type signal uint8

const (
	sigNews  signal = 1 << iota // the selected mailbox has changed
	sigClose                    // the server is going down
)

var errWoken = errors.New("woken")

// connError is a failure of the connection, as opposed to one of a Backend's, whatever it wraps.
type connError struct{ err error }

func (e *connError) Error() string { return "connection: " + e.err.Error() }
func (e *connError) Unwrap() error { return e.err }

func connFailure(err error) error {
	if err == nil || err == errWoken {
		return err
	}
	return &connError{err}
}

// transport is the connection below the buffers. Each Read and Write has a deadline of its own, so that a slow client is
// ended and a busy one is not. A waiting Read can be woken by a signal: it is the read deadline that wakes it, so a
// waiting connection needs no second goroutine.
type transport struct {
	net.Conn // the plain or TLS connection
	clock    func() time.Time
	write    time.Duration // for one Write
	in, out  int64         // bytes so far; only the connection's goroutine touches them

	mu      sync.Mutex
	patient time.Duration // for the next Read
	until   time.Time     // no Read waits longer than this; zero: no such limit
	listen  signal        // which signals wake a Read
	pending signal
	reading bool
	seen    Activity // for those who look from outside
}

// note tells those who look from outside that a command begins; name may be empty for one that there is not.
func (t *transport) note(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.Commands++
	t.seen.In, t.seen.Out = t.in, t.out
	if name != "" {
		t.seen.Command = name
	}
}

// protected tells them that TLS is up.
func (t *transport) protected(tls string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen.TLS = tls
}

func (t *transport) activity() Activity {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

// wait sets how long Reads wait from now on, and which signals wake them.
func (t *transport) wait(d time.Duration, listen signal) {
	t.mu.Lock()
	t.patient, t.listen = d, listen
	t.mu.Unlock()
}

// notify delivers a signal. It does not block.
func (t *transport) notify(s signal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending |= s
	if t.reading && t.listen&s != 0 {
		// A failing SetReadDeadline means a connection that is closed, and whose Read has returned.
		_ = t.SetReadDeadline(time.Unix(1, 0))
	}
}

// take returns and clears a pending signal.
func (t *transport) take(s signal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	got := t.pending & s
	t.pending &^= s
	return got != 0
}

// has tells whether a signal is pending.
func (t *transport) has(s signal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pending&s != 0
}

// Read returns errWoken when a signal came that is listened to; it stays pending.
func (t *transport) Read(p []byte) (int, error) {
	t.mu.Lock()
	if t.pending&t.listen != 0 {
		t.mu.Unlock()
		return 0, errWoken
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
		return 0, connFailure(err)
	}
	n, err := t.Conn.Read(p)
	t.in += int64(n)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reading = false
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && t.pending&t.listen != 0 {
		err = errWoken
	}
	return n, connFailure(err)
}

func (t *transport) Write(p []byte) (int, error) {
	if err := t.SetWriteDeadline(t.clock().Add(t.write)); err != nil {
		return 0, connFailure(err)
	}
	n, err := t.Conn.Write(p)
	t.out += int64(n)
	return n, connFailure(err)
}
