package imap

import (
	"bufio"
	"bytes"
	"context"
	"strconv"
)

// copyExtension is COPY and MOVE (RFC 9051 §6.4.7, §6.4.8, RFC 6851), with COPYUID (RFC 4315 §3).
func copyExtension() extension {
	copying := func(uid, move bool) command {
		return command{states: selected, parse: func(p *parser) runner { return parseCopy(p, uid, move) }}
	}
	return extension{
		capabilities: afterLogin("MOVE"),
		commands:     map[string]command{"COPY": copying(false, false), "MOVE": copying(false, true)},
		uid:          map[string]command{"COPY": copying(true, false), "MOVE": copying(true, true)},
	}
}

type copyCommand struct {
	set       numbers
	uid, move bool
	dest      string
}

func parseCopy(p *parser, uid, move bool) runner {
	p.sp()
	cmd := &copyCommand{set: p.numbers(), uid: uid, move: move}
	p.sp()
	cmd.dest = p.mailbox()
	return cmd
}

func (cmd *copyCommand) run(ctx context.Context, c *conn) (done, error) {
	if cmd.move {
		if err := c.sel.writable(); err != nil {
			return done{}, err
		}
	}
	dest, err := c.name(cmd.dest)
	if err != nil {
		return done{}, err
	}
	spans, err := c.sel.resolve(cmd.set, cmd.uid)
	if err != nil {
		return done{}, err
	}
	uids, gone := c.sel.uids(spans, nil)
	if gone && !cmd.uid {
		// RFC 2180 §4.4: all or none, and these cannot be all.
		return done{}, no("EXPUNGEISSUED", "Some of the messages no longer exist")
	}
	if len(uids) == 0 {
		return done{text: "No messages"}, nil
	}
	transfer := c.sel.mailbox.Copy
	if cmd.move {
		transfer = c.sel.mailbox.Move
	}
	res, err := transfer(ctx, uids, dest)
	code := uidCode("COPYUID", res.UIDValidity, res.Source, res.Dest)
	if cmd.move && len(res.Dest) > 0 {
		// RFC 6851 §4.3: untagged, before the EXPUNGEs that follow; §3.3: also for a part of the messages.
		c.untagged("OK", code, "Moved")
	}
	switch {
	case err != nil:
		return done{}, withCode(err, "NONEXISTENT", "TRYCREATE")
	case len(res.Dest) == 0:
		return done{text: "No messages"}, nil
	case cmd.move:
		return c.expunged(done{}), nil
	}
	return done{code: code, text: "Copied"}, nil
}

// uidCode is COPYUID or APPENDUID, RFC 4315 §3.
func uidCode(name string, validity uint32, sets ...[]uint32) string {
	var b bytes.Buffer
	e := encoder{Writer: bufio.NewWriter(&b)}
	e.str(name, " ")
	e.num(uint64(validity))
	for _, uids := range sets {
		e.WriteByte(' ')
		e.uidSet(uids)
	}
	_ = e.Flush() // into memory
	return b.String()
}

func decimal(n uint32) string { return decimal64(int64(n)) }

func decimal64(n int64) string { return strconv.FormatInt(n, 10) }

// expungeExtension is EXPUNGE and UID EXPUNGE, RFC 9051 §6.4.3 and §6.4.9, RFC 4315 §2.1.
func expungeExtension() extension {
	return extension{
		commands: map[string]command{"EXPUNGE": {states: selected, parse: fixed(&expungeCommand{})}},
		uid: map[string]command{"EXPUNGE": {states: selected, parse: func(p *parser) runner {
			p.sp()
			set := p.numbers()
			return &expungeCommand{&set}
		}}},
	}
}

type expungeCommand struct{ set *numbers } // nil: all

func (cmd *expungeCommand) run(ctx context.Context, c *conn) (done, error) {
	if err := c.sel.writable(); err != nil {
		return done{}, err
	}
	spans := c.sel.view.All()
	if cmd.set != nil {
		var err error
		if spans, err = c.sel.resolve(*cmd.set, true); err != nil {
			return done{}, err
		}
	}
	uids := c.sel.deleted(spans)
	if len(uids) == 0 {
		return done{}, nil
	}
	if err := c.sel.mailbox.Expunge(ctx, uids); err != nil {
		return done{}, err
	}
	return c.expunged(done{}), nil
}
