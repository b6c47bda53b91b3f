package milter

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Options of a Conn.
type Options struct {
	Version uint32        // the newest that is offered, 2 to 6; 0: 6
	Command time.Duration // for the negotiation and the answers to SMTP commands
	Content time.Duration // for the answers to header, body and end, anew at each sign of life
	Macros  Macros        // of each stage, unless the filter asks for others
	// MaxBytes bounds what a filter may send for one message; 0: 64 MiB.
	MaxBytes int64
	// Value is a macro's value; macros without one are not sent.
	Value func(name string) (string, bool)
}

// Conn is a connection to a filter, for one SMTP session. It is used by one goroutine.
type Conn struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
	opt  Options
	neg  negotiated
	buf  []byte
}

// defaultBytes is Options.MaxBytes, maxAnswers the number of modifications and signs of life for one message.
const (
	defaultBytes = 64 << 20
	maxAnswers   = 100_000
)

// Open negotiates. It does not close conn when it fails.
func Open(ctx context.Context, conn net.Conn, opt Options) (*Conn, error) {
	if opt.Version == 0 {
		opt.Version = Version
	}
	if opt.MaxBytes == 0 {
		opt.MaxBytes = defaultBytes
	}
	c := &Conn{conn: conn, in: bufio.NewReaderSize(conn, 4096), out: bufio.NewWriterSize(conn, 4096), opt: opt}
	defer c.watch(ctx)()
	actions, steps := offered(opt.Version)
	data := binary.BigEndian.AppendUint32(nil, opt.Version)
	data = binary.BigEndian.AppendUint32(data, uint32(actions))
	data = binary.BigEndian.AppendUint32(data, uint32(steps))
	if err := c.send('O', data); err != nil {
		return nil, c.failed(ctx, "negotiate", err)
	}
	p, err := c.receive(ctx, opt.Command)
	if err != nil {
		return nil, c.failed(ctx, "negotiate", err)
	}
	if p.code != 'O' {
		return nil, fmt.Errorf("%w: %q in answer to the negotiation", ErrProtocol, p.code)
	}
	if c.neg, err = parseOptions(p.data, opt.Version); err != nil {
		return nil, err
	}
	return c, nil
}

// Version is the version that was agreed on.
func (c *Conn) Version() uint32 { return c.neg.version }

// Wants tells whether the filter did not opt out.
func (c *Conn) Wants(no Steps) bool { return c.neg.steps&no == 0 }

// LeadingSpace tells whether header values come and go with the blank after the colon.
func (c *Conn) LeadingSpace() bool { return c.neg.steps&LeadingSpace != 0 }

func (c *Conn) watch(ctx context.Context) func() bool {
	return context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
}

func (c *Conn) failed(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("milter: %s: %w", what, err)
}

func (c *Conn) send(code byte, data ...[]byte) error { return writePacket(c.out, code, data...) }

// receive sends what is buffered and reads one packet.
func (c *Conn) receive(ctx context.Context, patience time.Duration) (packet, error) {
	if err := c.deadline(ctx, patience); err != nil {
		return packet{}, err
	}
	if err := c.out.Flush(); err != nil {
		return packet{}, err
	}
	return readPacket(c.in)
}

func (c *Conn) deadline(ctx context.Context, patience time.Duration) error {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	return ctx.Err() // after SetDeadline: the order with watch's function
}

// event is one that a filter may have opted out of.
type event struct {
	code     byte
	stage    Stage // whose macros go in front; stages+1: none
	no       Steps // the filter does not want it
	noReply  Steps // the filter does not answer it
	patience time.Duration
	name     string
}

const noMacros = stages + 1

// do sends an event and reads the answer.
func (c *Conn) do(ctx context.Context, e event, data ...[]byte) (Response, error) {
	if c.neg.steps&e.no != 0 {
		return Response{Verdict: Continue}, nil
	}
	defer c.watch(ctx)()
	if err := c.deadline(ctx, e.patience); err != nil {
		return Response{}, c.failed(ctx, e.name, err)
	}
	err := c.macros(e)
	if err == nil {
		err = c.send(e.code, data...)
	}
	if err != nil {
		return Response{}, c.failed(ctx, e.name, err)
	}
	if e.noReply != 0 && c.neg.steps&e.noReply != 0 {
		return Response{Verdict: Continue}, nil
	}
	for range maxAnswers {
		p, err := c.receive(ctx, e.patience)
		if err != nil {
			return Response{}, c.failed(ctx, e.name, err)
		}
		r, ok, err := parseResponse(p)
		if ok || err != nil {
			return r, err
		}
		if p.code != progress {
			return r, fmt.Errorf("%w: %q in answer to %s", ErrProtocol, p.code, e.name)
		}
	}
	return Response{}, ErrTooMuch
}

// macros sends those of a stage that have a value.
func (c *Conn) macros(e event) error {
	if e.stage > stages || c.opt.Value == nil {
		return nil
	}
	names, asked := c.neg.macros[e.stage]
	if !asked {
		names = c.opt.Macros[e.stage]
	}
	b := append(c.buf[:0], e.code)
	for _, name := range names {
		if v, ok := c.opt.Value(name); ok {
			b = text(text(b, name), v)
		}
	}
	c.buf = b
	if len(b) == 1 {
		return nil
	}
	return c.send('D', b)
}

// Close breaks the connection.
func (c *Conn) Close() error { return c.conn.Close() }
