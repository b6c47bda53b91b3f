package imap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/link"
	"github.com/postrider/postrider/internal/wire/sasl"
)

const (
	writeBuffer    = 16 << 10 // bytes; lent while there is something to say
	maxBadBefore   = 6        // BADs before login, in all, before the connection ends
	maxLoginErrors = 5        // failed logins on one connection
)

// Signals that wake a connection.
const (
	sigNews  link.Signal = 1 << iota // the selected mailbox has changed
	sigClose                         // the server is going down
)

// conn is one connection: its state, and everything its one goroutine needs. Only t, raw, cancel and kicked are touched
// by others.
type conn struct {
	srv    *Server
	cfg    *Config
	log    *slog.Logger
	raw    net.Conn // below TLS
	t      *link.Transport
	in     *bufio.Reader // nil while nobody waits for what is in it
	first  firstBytes    // what ended a wait, on its way into in
	out    encoder       // its Writer is nil while there is nothing to say
	cancel context.CancelFunc
	mode   Mode
	secure bool // what is said cannot be overheard
	state  state

	id       sasl.Identity
	account  Account
	sel      *selection // in state selected
	rev2     bool       // ENABLE IMAP4rev2
	line     []byte     // the current command
	tag      string     // its tag
	idling   bool       // between IDLE and DONE: tag waits for its reply
	bad      int        // BADs
	failures int        // failed logins

	number      uint64 // within the server
	tls         string // version and cipher
	certificate string // the name that the client\'s proves
	commands    int
	why         End                    // the connection ends; "" while it does not
	kicked      atomic.Pointer[string] // why an operator ended it
}

func newConn(s *Server, nc net.Conn, mode Mode) *conn {
	c := &conn{srv: s, cfg: s.config.Load(), raw: nc, mode: mode, secure: mode != StartTLS, state: notAuthenticated, cancel: func() {}}
	c.log = s.log.With("remote", nc.RemoteAddr().String())
	c.t = link.NewTransport(nc, c.cfg.Clock, c.cfg.CommandTimeout, c.cfg.WriteTimeout)
	c.first.conn = c.t
	c.lendReader()
	return c
}

// cutOff ends the connection from outside.
func (c *conn) cutOff() {
	c.cancel()
	c.raw.Close()
}

// serve is the connection's life.
func (c *conn) serve(ctx context.Context) {
	c.cfg.Observer.Connected(c.peer(), c.kick)
	defer c.ended(c.cfg.Clock())
	defer c.end()
	defer func() {
		if r := recover(); r != nil {
			c.panicked(r)
		}
	}()
	c.t.Limit(c.cfg.Clock().Add(c.cfg.LoginTimeout))
	if c.mode == Implicit {
		if err := c.startTLS(ctx); err != nil {
			c.log.Info("imap: TLS handshake failed", "err", err)
			c.why = EndTLS
			return
		}
	}
	c.greet()
	for c.state != loggedOut {
		// Waiting is done from here and not from within a command: a connection spends its life there, and what of its stack
		// is in use decides how large its stack is.
		err := c.await()
		if err == nil && c.idling {
			err = c.endIdle()
		} else if err == nil {
			err = c.command(ctx)
		}
		if err != nil {
			c.farewell(err)
			return
		}
	}
}

// panicked ends the connection that a panic was in, and no other.
func (c *conn) panicked(r any) {
	c.why = EndPanic
	c.log.Error("imap: panic", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	c.bye("UNAVAILABLE", "Internal error")
}

func (c *conn) greet() {
	c.begin()
	c.out.str("* OK [CAPABILITY ", c.capabilities(), "] ", c.cfg.Hostname, " Postrider IMAP ready\r\n")
}

// farewell says why the connection ends, where that helps.
func (c *conn) farewell(err error) {
	switch {
	case errors.Is(err, errClose):
	case errors.Is(err, errGone):
		c.bye("", "Selected mailbox was deleted")
	case c.kicked.Load() != nil:
		c.why = EndKicked
		c.bye("", *c.kicked.Load())
	case errors.Is(err, link.ErrWoken):
		c.why = EndShutdown
		c.bye("UNAVAILABLE", "Server is shutting down")
	case errors.Is(err, os.ErrDeadlineExceeded) && c.account == nil:
		c.why = EndTimeout
		c.bye("", "No login in time")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.why = EndTimeout
		c.bye("", "Autologout; idle for too long") // RFC 9051 §5.4
	case errors.Is(err, io.ErrNoProgress):
		c.bye("", "Command line without end")
	default:
		c.why = EndLost
		if !errors.Is(err, io.EOF) {
			c.log.Debug("imap: connection lost", "err", err)
		}
	}
}

// bye writes the untagged BYE.
func (c *conn) bye(code, text string) {
	c.begin()
	c.out.str("* BYE ")
	c.text(code, text)
	_ = c.out.Flush() // the connection ends in any case
}

func (c *conn) end() {
	c.deselect()
	if c.account != nil {
		c.account.Close()
	}
	if c.out.Writer != nil {
		_ = c.out.Flush()
	}
	c.release()
	_ = c.t.Conn.Close() // with TLS, sends its close_notify
}

// begin makes sure that there is a buffer to write to.
func (c *conn) begin() {
	if c.out.Writer != nil {
		return
	}
	w, _ := c.srv.buffers.Get().(*bufio.Writer)
	if w == nil {
		w = bufio.NewWriterSize(c.t, writeBuffer)
	} else {
		w.Reset(c.t)
	}
	c.out.Writer = w
}

// release gives the buffers of a connection that will wait back.
func (c *conn) release() {
	if w := c.out.Writer; w != nil {
		w.Reset(nil)
		c.srv.buffers.Put(w)
		c.out.Writer = nil
	}
	if r := c.in; r != nil {
		r.Reset(nil)
		c.srv.readers.Put(r)
		c.in = nil
	}
	c.line = nil
}

// await waits for the first byte of the next command, or of the line that ends IDLE, and tells news in IDLE as they come.
// Replies are grouped: they leave when the client has nothing more for us in the buffer. While it waits the connection has
// no buffers and no second goroutine: what it waits for, the feed among it, wakes its Read.
func (c *conn) await() error {
	for {
		listen := sigClose
		if c.idling {
			listen |= sigNews
			if err := c.tellNews(); err != nil {
				return err
			}
		}
		if c.in.Buffered() > 0 {
			return nil
		}
		if err := c.flush(); err != nil {
			return err
		}
		c.release()
		c.t.Wait(c.cfg.IdleTimeout, listen)
		n, err := c.t.Read(c.first.buf[:])
		c.t.Wait(c.cfg.CommandTimeout, 0)
		c.first.left = c.first.buf[:n]
		c.lendReader()
		c.begin()
		if n > 0 {
			return nil
		}
		if !c.idling || !errors.Is(err, link.ErrWoken) || c.t.Has(sigClose) {
			return err
		}
	}
}

// firstBytes gives what a wait has read, and then what the connection gives. Most commands are in it as a whole.
type firstBytes struct {
	conn io.Reader
	left []byte
	buf  [64]byte
}

func (f *firstBytes) Read(p []byte) (int, error) {
	if len(f.left) == 0 {
		return f.conn.Read(p)
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}

func (c *conn) lendReader() {
	r, _ := c.srv.readers.Get().(*bufio.Reader)
	if r == nil {
		r = bufio.NewReaderSize(&c.first, readBuffer)
	} else {
		r.Reset(&c.first)
	}
	c.in = r
}

func (c *conn) flush() error {
	if c.out.Writer == nil {
		return nil
	}
	return c.out.Flush()
}

// command reads one command, runs it and writes its tagged reply. An error ends the connection.
func (c *conn) command(ctx context.Context) error {
	c.begin()
	tag, cmd, run, err := c.read()
	c.tag = tag
	c.commands++
	c.t.Note(cmd.name)
	var d done
	if err == nil {
		d, err = run.run(ctx, c)
	}
	if c.idling {
		return nil
	}
	var f *failure
	switch {
	case err == nil:
	case isFatal(err):
		return err
	default:
		f = asFailure(err)
		if f.err != nil && status.IsTemporary(f.err) { // a refusal is the client's affair, a failure ours
			c.log.Warn("imap: command failed", "err", f.err)
		}
	}
	var gone error
	if c.sel != nil && c.state == selected {
		gone = c.sync(!cmd.silent)
	}
	if d.late != nil && c.sel != nil {
		d.code = d.late(c)
	}
	// What was done is said before the connection ends: a client that never hears of its APPEND does it again.
	if err := errors.Join(c.reply(tag, d, f), gone); err != nil || f != nil || d.then == nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	return d.then(ctx)
}

// isFatal: errors of the connection itself, after which nothing can be said in order.
func isFatal(err error) bool {
	var lost *link.Error
	return errors.Is(err, errClose) || errors.Is(err, errGone) || errors.Is(err, link.ErrWoken) || errors.As(err, &lost)
}

// reply writes the tagged reply, f if it is a negative one, and ends the patience with clients that talk nonsense.
func (c *conn) reply(tag string, d done, f *failure) error {
	c.out.str(tag)
	if f == nil {
		c.out.str(" OK ")
		if d.text == "" {
			d.text = "Completed"
		}
		c.text(d.code, d.text)
		if c.account != nil {
			c.bad = 0
		}
		return nil
	}
	c.out.str(" ", f.status, " ")
	c.text(f.code, f.text)
	if f.status == "BAD" {
		c.bad++
	}
	if c.bad >= c.cfg.MaxErrors || c.account == nil && c.bad >= maxBadBefore {
		c.bye("", "Too many bad commands")
		return errClose
	}
	if c.failures >= maxLoginErrors && c.account == nil {
		c.bye("", "Too many failed logins")
		return errClose
	}
	return nil
}

// text writes an optional response code and a human-readable text, which is one line of printable ASCII or UTF-8.
func (c *conn) text(code, text string) {
	if code != "" {
		c.out.str("[", code, "] ")
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f || r > 0x7f && !c.out.utf8 {
			r = '?'
		}
		c.out.WriteRune(r)
	}
	c.out.crlf()
}

// untagged writes "* OK [code] text" and the like.
func (c *conn) untagged(status, code, text string) {
	c.out.str("* ", status, " ")
	c.text(code, text)
}

// startTLS runs the server's side of a handshake.
func (c *conn) startTLS(ctx context.Context) error {
	state, err := c.t.StartTLS(ctx, c.cfg.TLS, c.cfg.Shared)
	if err != nil {
		return err
	}
	c.secure, c.tls, c.certificate = true, link.TLSText(state), sasl.CertificateName(state)
	return nil
}
