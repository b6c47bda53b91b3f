package dialogue

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// capacity is what one direction of a Pipe holds before a writer waits, about what a socket does.
const capacity = 64 << 10

// Pipe returns the two ends of an in-memory connection. Unlike net.Pipe it buffers (64 KiB each way), so that a reply
// can be written before anybody reads it. Deadlines work, and waiting is "durable" for testing/synctest. What was
// written before Close can still be read. The ends carry TCP addresses from the documentation networks.
func Pipe() (client, server net.Conn) {
	return PipeBetween(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 25), Port: 25})
}

// PipeBetween is Pipe with addresses of the caller's choice.
func PipeBetween(clientAddr, serverAddr net.Addr) (client, server net.Conn) {
	up, down := newHalf(), newHalf()
	return &conn{in: down, out: up, local: clientAddr, remote: serverAddr},
		&conn{in: up, out: down, local: serverAddr, remote: clientAddr}
}

// half is one direction.
type half struct {
	mu     sync.Mutex
	change sync.Cond
	buf    []byte
	r, n   int  // ring: first unread byte, bytes unread
	eof    bool // the writer has closed
	gone   bool // the reader has closed
	rd, wd deadline
}

type deadline struct {
	timer   *time.Timer
	expired bool
	serial  int
}

func newHalf() *half {
	h := &half{}
	h.change.L = &h.mu
	return h
}

// set arms d; h.mu is not held.
func (h *half) set(d *deadline, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.serial++
	d.expired = false
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.expired = true
		h.change.Broadcast()
		return
	}
	serial := d.serial
	d.timer = time.AfterFunc(wait, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if d.serial == serial {
			d.expired = true
			h.change.Broadcast()
		}
	})
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.gone:
			return 0, net.ErrClosed
		case h.rd.expired:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.n > 0:
			n := copy(p, h.buf[h.r:min(h.r+h.n, len(h.buf))])
			if n < len(p) && n < h.n {
				n += copy(p[n:], h.buf[:h.n-n])
			}
			h.r, h.n = (h.r+n)%len(h.buf), h.n-n
			h.change.Broadcast()
			return n, nil
		case h.eof:
			return 0, io.EOF
		}
		h.change.Wait()
	}
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.buf == nil {
		h.buf = make([]byte, capacity)
	}
	done := 0
	for {
		switch {
		case h.eof:
			return done, net.ErrClosed
		case h.gone:
			return done, io.ErrClosedPipe
		case h.wd.expired:
			return done, os.ErrDeadlineExceeded
		case done == len(p):
			return done, nil
		}
		if h.n < len(h.buf) {
			w := (h.r + h.n) % len(h.buf)
			end := len(h.buf)
			if w < h.r {
				end = h.r
			}
			n := copy(h.buf[w:end], p[done:])
			h.n += n
			done += n
			h.change.Broadcast()
			continue
		}
		h.change.Wait()
	}
}

func (h *half) unread() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

type conn struct {
	in, out       *half
	local, remote net.Addr
	once          sync.Once
	onClose       func()
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *conn) LocalAddr() net.Addr         { return c.local }
func (c *conn) RemoteAddr() net.Addr        { return c.remote }

func (c *conn) Close() error {
	c.once.Do(func() {
		c.in.set(&c.in.rd, time.Time{})
		c.out.set(&c.out.wd, time.Time{})
		c.in.mu.Lock()
		c.in.gone = true
		c.in.change.Broadcast()
		c.in.mu.Unlock()
		c.out.mu.Lock()
		c.out.eof = true
		c.out.change.Broadcast()
		c.out.mu.Unlock()
		if c.onClose != nil {
			c.onClose()
		}
	})
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.in.set(&c.in.rd, t)
	c.out.set(&c.out.wd, t)
	return nil
}
func (c *conn) SetReadDeadline(t time.Time) error  { c.in.set(&c.in.rd, t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.out.set(&c.out.wd, t); return nil }

// Listener is a net.Listener whose connections are Pipes.
type Listener struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	ports atomic.Int32
}

// Listen returns a Listener at 192.0.2.25:25. Under synctest, call it inside the bubble.
func Listen() *Listener {
	return &Listener{addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 25), Port: 25}, conns: make(chan net.Conn, 64), done: make(chan struct{})}
}

// Dial connects from 192.0.2.1.
func (l *Listener) Dial() (net.Conn, error) { return l.DialFrom(net.IPv4(192, 0, 2, 1)) }

// DialFrom connects from an address of the caller's choice.
func (l *Listener) DialFrom(ip net.IP) (net.Conn, error) {
	client, server := PipeBetween(&net.TCPAddr{IP: ip, Port: 40000 + int(l.ports.Add(1))}, l.addr)
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Accept waits for the next Dial.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr returns 192.0.2.25:25.
func (l *Listener) Addr() net.Addr { return l.addr }
