package pop3

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

var errStopped = errors.New("server shutting down")

// connError is a failure of the connection, as opposed to one of the Backend's, whatever it wraps.
type connError struct{ err error }

func (e *connError) Error() string { return "connection: " + e.err.Error() }
func (e *connError) Unwrap() error { return e.err }

func connFailure(err error) error {
	if err == nil || err == errStopped {
		return err
	}
	return &connError{err}
}

// transport is the connection below the buffers. Each Read and Write has a deadline of its own, so that a slow client is
// ended and a busy one is not. A Read between commands is woken by stop.
type transport struct {
	net.Conn // the plain or TLS connection
	clock    func() time.Time
	write    time.Duration // for one Write
	in, out  int64         // bytes so far; only the connection's goroutine touches them

	mu       sync.Mutex
	patience time.Duration // for the next Read
	until    time.Time     // no Read waits longer than this; zero: no such limit
	between  bool          // the next Read is for the beginning of a command
	reading  bool
	stopped  bool
	seen     Activity // for those who look from outside
}

// note tells those who look from outside that a command begins; name is empty for one that there is not.
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

// wait sets how long Reads wait from now on, and whether they stand between commands.
func (t *transport) wait(d time.Duration, between bool) {
	t.mu.Lock()
	t.patience, t.between = d, between
	t.mu.Unlock()
}

// limit sets the time beyond which no Read waits.
func (t *transport) limit(until time.Time) {
	t.mu.Lock()
	t.until = until
	t.mu.Unlock()
}

// stop ends the next Read between commands, or the one under way. It does not block.
func (t *transport) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.reading && t.between {
		// A failing SetReadDeadline means a connection that is closed, and whose Read has returned.
		_ = t.SetReadDeadline(time.Unix(1, 0))
	}
}

func (t *transport) Read(p []byte) (int, error) {
	t.mu.Lock()
	if t.stopped && t.between {
		t.mu.Unlock()
		return 0, errStopped
	}
	deadline := t.clock().Add(t.patience)
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
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && t.stopped && t.between {
		err = errStopped
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
