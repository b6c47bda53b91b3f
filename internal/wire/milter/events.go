package milter

import (
	"context"
	"encoding/binary"
	"net/netip"
)

// Peer is the SMTP client.
type Peer struct {
	Name string         // verified; "unknown", or the address in brackets, where there is none
	Addr netip.AddrPort // zero: a local program
}

// Connect tells of the connection.
func (c *Conn) Connect(ctx context.Context, p Peer) (Response, error) {
	b := text(nil, p.Name)
	a := p.Addr.Addr().Unmap().WithZone("")
	switch {
	case !a.IsValid():
		b = append(b, 'U')
	case a.Is4():
		b = text(binary.BigEndian.AppendUint16(append(b, '4'), p.Addr.Port()), a.String())
	default:
		b = text(binary.BigEndian.AppendUint16(append(b, '6'), p.Addr.Port()), a.String())
	}
	return c.do(ctx, event{'C', AtConnect, NoConnect, NoReplyConnect, c.opt.Command, "connect"}, b)
}

// Hello tells what the client said in HELO or EHLO.
func (c *Conn) Hello(ctx context.Context, name string) (Response, error) {
	return c.do(ctx, event{'H', AtHello, NoHello, NoReplyHello, c.opt.Command, "helo"}, text(nil, name))
}

// Mail tells of the sender: args are the path in angle brackets, and the parameters.
func (c *Conn) Mail(ctx context.Context, args ...string) (Response, error) {
	return c.do(ctx, event{'M', AtMail, NoMail, NoReplyMail, c.opt.Command, "mail"}, words(args))
}

// Rcpt tells of a recipient: args are the path in angle brackets, and the parameters.
func (c *Conn) Rcpt(ctx context.Context, args ...string) (Response, error) {
	return c.do(ctx, event{'R', AtRcpt, NoRcpt, NoReplyRcpt, c.opt.Command, "rcpt"}, words(args))
}

func words(args []string) (b []byte) {
	for _, a := range args {
		b = text(b, a)
	}
	return b
}

// Data comes before the message.
func (c *Conn) Data(ctx context.Context) (Response, error) {
	if c.neg.version < 4 {
		return Response{Verdict: Continue}, nil
	}
	return c.do(ctx, event{'T', AtData, NoData, NoReplyData, c.opt.Command, "data"})
}

// Unknown tells of a command that is none.
func (c *Conn) Unknown(ctx context.Context, line string) (Response, error) {
	if c.neg.version < 3 {
		return Response{Verdict: Continue}, nil
	}
	return c.do(ctx, event{'U', AtUnknown, NoUnknown, NoReplyUnknown, c.opt.Command, "unknown"}, text(nil, line))
}

// Header gives a field. value is raw, with its folds and with the blank after the colon, which is left out for a filter that
// does not expect it.
func (c *Conn) Header(ctx context.Context, name, value string) (Response, error) {
	if !c.LeadingSpace() && len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	b := text(text(c.buf[:0], name), value)
	c.buf = b
	return c.do(ctx, event{'L', noMacros, NoHeaders, NoReplyHeader, c.opt.Content, "header"}, b)
}

// EndOfHeader ends the header.
func (c *Conn) EndOfHeader(ctx context.Context) (Response, error) {
	return c.do(ctx, event{'N', AtEndOfHeader, NoEndOfHeader, NoReplyEndOfHeader, c.opt.Content, "end of header"})
}

// Body gives a piece of the body, at most MaxChunk bytes.
func (c *Conn) Body(ctx context.Context, p []byte) (Response, error) {
	return c.do(ctx, event{'B', noMacros, NoBody, NoReplyBody, c.opt.Content, "body"}, p)
}

// End ends the message. modify is called for each modification, in order; they count only if the answer accepts. What modify
// returns ends everything.
func (c *Conn) End(ctx context.Context, modify func(Modification) error) (Response, error) {
	const name = "end of message"
	defer c.watch(ctx)()
	err := c.deadline(ctx, c.opt.Content)
	if err == nil {
		err = c.macros(event{code: 'E', stage: AtEnd})
	}
	if err == nil {
		err = c.send('E')
	}
	if err != nil {
		return Response{}, c.failed(ctx, name, err)
	}
	left := c.opt.MaxBytes
	for range maxAnswers {
		p, err := c.receive(ctx, c.opt.Content)
		if err != nil {
			return Response{}, c.failed(ctx, name, err)
		}
		if left -= int64(len(p.data)); left < 0 {
			break
		}
		if r, ok, err := parseResponse(p); ok || err != nil {
			return r, err
		}
		if p.code == progress {
			continue
		}
		m, err := parseModification(p, c.neg.actions)
		if err == nil {
			err = modify(m)
		}
		if err != nil {
			return Response{}, err
		}
	}
	return Response{}, ErrTooMuch
}

// Abort ends a transaction; the filter waits for the next.
func (c *Conn) Abort(ctx context.Context) error { return c.tell(ctx, 'A') }

// Quit ends the connection in good order.
func (c *Conn) Quit(ctx context.Context) error {
	err := c.tell(ctx, 'Q')
	if cerr := c.conn.Close(); err == nil {
		err = cerr
	}
	return err
}

func (c *Conn) tell(ctx context.Context, code byte) error {
	defer c.watch(ctx)()
	err := c.deadline(ctx, c.opt.Command)
	if err == nil {
		err = c.send(code)
	}
	if err == nil {
		err = c.out.Flush()
	}
	return err
}
