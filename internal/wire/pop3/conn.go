package pop3

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
	"time"

	"github.com/postrider/postrider/internal/wire/link"
	"github.com/postrider/postrider/internal/wire/sasl"
)

const (
	writeBuffer    = 16 << 10 // bytes; lent while there is something to say
	maxLoginErrors = 5        // failed logins on one connection
)

// state is one of RFC 1939 §3's; the UPDATE state is QUIT's affair alone.
type state uint8

const (
	authorization state = 1 << iota
	transaction
	ended
)

// sigClose wakes a connection that is to end.
const sigClose link.Signal = 1

// conn is one connection: its state, and everything its one goroutine needs. Only t, raw, cancel and kicked are touched by
// others.
type conn struct {
	srv    *Server
	cfg    *Config
	log    *slog.Logger
	raw    net.Conn // below TLS
	t      *link.Transport
	in     *bufio.Reader
	out    *bufio.Writer // nil while there is nothing to say
	cancel context.CancelFunc
	mode   Mode
	secure bool // what is said cannot be overheard
	state  state

	user     string // of USER, for PASS; "": none
	id       sasl.Identity
	drop     Maildrop // in state transaction
	list     listing  // its messages
	line     []byte   // the current command
	misuses  int      // commands that were no POP3
	failures int      // failed logins

	number      uint64 // within the server
	tls         string // version and cipher
	certificate string // the name that the client\'s proves
	mechanism   string // of the login
	stats       Stats
	why         End
	kicked      atomic.Pointer[string] // why an operator ended it
}

func newConn(s *Server, nc net.Conn, mode Mode, cancel context.CancelFunc) *conn {
	c := &conn{srv: s, cfg: s.config.Load(), raw: nc, mode: mode, secure: mode != StartTLS, state: authorization, cancel: cancel,
		number: s.numbers.Add(1), why: EndLimit}
	c.log = s.log.With("remote", nc.RemoteAddr().String())
	c.t = link.NewTransport(nc, c.cfg.Clock, c.cfg.LineTimeout, c.cfg.WriteTimeout)
	c.in = bufio.NewReaderSize(c.t, readBuffer)
	return c
}

// cutOff ends the connection from outside.
func (c *conn) cutOff() {
	c.cancel()
	c.raw.Close()
}

// kick ends the connection from outside: as soon as it is between commands, and soon in any case.
func (c *conn) kick(reason string) {
	c.kicked.CompareAndSwap(nil, &reason)
	c.t.Notify(sigClose)
	time.AfterFunc(link.KickGrace, c.cutOff) // of a connection that has ended it means nothing
}

// serve is the connection's life.
func (c *conn) serve(ctx context.Context) {
	c.cfg.Observer.Connected(c.peer(), c.kick)
	defer c.ended(c.cfg.Clock())
	defer c.end()
	defer func() {
		if r := recover(); r != nil {
			c.why = EndPanic
			c.log.Error("pop3: panic", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	c.t.Limit(c.cfg.Clock().Add(c.cfg.LoginTimeout))
	if c.mode == Implicit {
		if err := c.startTLS(ctx); err != nil {
			c.log.Info("pop3: TLS handshake failed", "err", err)
			c.why = EndTLS
			return
		}
	}
	c.begin()
	c.ok(c.cfg.Hostname, " Postrider POP3 ready") // no <timestamp>: there is no APOP (RFC 1939 §7)
	for c.state != ended {
		if err := c.await(); err != nil {
			c.farewell(err)
			return
		}
		if err := c.command(ctx); err != nil {
			c.farewell(err)
			return
		}
	}
	c.why = EndLogout
}

// farewell notes why the connection ends. A timeout sends nothing (RFC 1939 §3).
func (c *conn) farewell(err error) {
	switch {
	case errors.Is(err, errClose):
	case errors.Is(err, link.ErrWoken) && c.kicked.Load() != nil:
		c.why = EndKicked
		c.begin()
		c.err(&refusal{code: "SYS/TEMP", text: *c.kicked.Load()})
	case errors.Is(err, link.ErrWoken):
		c.why = EndShutdown
		c.begin()
		c.err(&refusal{code: "SYS/TEMP", text: "Server is shutting down"})
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.why = EndTimeout
	case errors.Is(err, io.ErrNoProgress):
		c.begin()
		c.err(misuse("Command line without end"))
	default:
		c.why = EndLost
		if !errors.Is(err, io.EOF) {
			c.log.Debug("pop3: connection lost", "err", err)
		}
	}
}

func (c *conn) end() {
	if c.drop != nil {
		c.drop.Close()
	}
	_ = c.flush() // the connection ends in any case
	c.release()
	_ = c.t.Conn.Close() // with TLS, sends its close_notify
}

// begin makes sure that there is a buffer to write to.
func (c *conn) begin() {
	if c.out != nil {
		return
	}
	w, _ := c.srv.writers.Get().(*bufio.Writer)
	if w == nil {
		w = bufio.NewWriterSize(c.t, writeBuffer)
	} else {
		w.Reset(c.t)
	}
	c.out = w
}

// release gives the buffers of a connection that will wait back.
func (c *conn) release() {
	if w := c.out; w != nil {
		w.Reset(nil)
		c.srv.writers.Put(w)
		c.out = nil
	}
	if cap(c.line) > keepLineCapacity {
		c.line = nil
	}
}

func (c *conn) flush() error {
	if c.out == nil {
		return nil
	}
	return c.out.Flush()
}

// await waits for the first byte of the next command. Replies are grouped: they leave when the client has nothing more
// for us in the buffer (RFC 2449 §6.8).
func (c *conn) await() error {
	if c.in.Buffered() > 0 {
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.release()
	c.t.Wait(c.cfg.IdleTimeout, sigClose)
	_, err := c.in.Peek(1)
	c.t.Wait(c.cfg.LineTimeout, 0)
	return err
}

// command reads one command, runs it and writes its reply. An error ends the connection.
func (c *conn) command(ctx context.Context) error {
	c.begin()
	c.stats.Commands++
	err := c.run(ctx)
	var lost *link.Error
	if err == nil || errors.Is(err, errClose) || errors.Is(err, link.ErrWoken) || errors.As(err, &lost) {
		return err
	}
	r := asRefusal(err)
	if r.err != nil && r.code == "SYS/TEMP" { // a refusal is the client's affair, a failure ours
		c.log.Warn("pop3: command failed", "err", r.err)
	}
	c.err(r)
	if r.misuse {
		c.misuses++
	}
	if c.misuses >= c.cfg.MaxErrors || c.failures >= maxLoginErrors && c.state == authorization {
		return errClose
	}
	return nil
}

// run reads one command and runs it: it has written a positive reply, or returns an error.
func (c *conn) run(ctx context.Context) (err error) {
	if c.line, err = readLine(c.in, c.line[:0]); err != nil {
		return err
	}
	req, err := parse(c.line)
	if err != nil {
		return err
	}
	cmd, ok := c.srv.commands[req.verb]
	if !ok {
		c.t.Note("")
		return misuse("Unknown command")
	}
	c.t.Note(req.verb)
	if cmd.states&c.state == 0 {
		if c.state == authorization {
			return misuse("Log in first")
		}
		return misuse("You are logged in already")
	}
	args := []string{req.rest}
	if cmd.verbatim {
		if req.rest == "" {
			return misuse(req.verb + " lacks an argument")
		}
	} else if args, err = req.arguments(cmd.least, cmd.most); err != nil {
		return err
	}
	return cmd.run(ctx, c, args)
}

// ok writes a positive reply.
func (c *conn) ok(text ...string) {
	_, _ = c.out.WriteString("+OK ")
	c.text(text...)
}

// err writes a negative reply.
func (c *conn) err(r *refusal) {
	_, _ = c.out.WriteString("-ERR ")
	if r.code != "" {
		c.text("[", r.code, "] ", r.text)
		return
	}
	c.text(r.text)
}

// text ends a line. It is printable ASCII whatever it was: UTF8 mode is not worth two spellings of our texts (RFC 6856 §3).
func (c *conn) text(parts ...string) {
	for _, s := range parts {
		for i := range len(s) {
			b := s[i]
			if b < ' ' || b >= 0x7f {
				b = '?'
			}
			_ = c.out.WriteByte(b) // bufio keeps the error for Flush
		}
	}
	_, _ = c.out.WriteString("\r\n")
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
