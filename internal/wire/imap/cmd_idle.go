package imap

import (
	"context"
	"errors"
	"strings"

	"github.com/postrider/postrider/internal/wire/link"
)

// idleExtension is IDLE, RFC 2177.
func idleExtension() extension {
	return extension{
		capabilities: afterLogin("IDLE"),
		commands:     map[string]command{"IDLE": {states: loggedIn, parse: fixed(idleCommand{})}},
	}
}

type idleCommand struct{}

// run waits for DONE, and tells news as they come. While it waits the connection holds no buffers and no second
// goroutine: the feed wakes its Read.
func (idleCommand) run(_ context.Context, c *conn) (done, error) {
	c.out.str("+ idling\r\n")
	defer c.t.Wait(c.cfg.CommandTimeout, 0)
	for {
		if c.sel != nil {
			if err := c.sync(true); err != nil {
				return done{}, err
			}
		}
		if err := c.flush(); err != nil {
			return done{}, err
		}
		if c.in.Buffered() == 0 {
			c.release()
			c.t.Wait(c.cfg.IdleTimeout, sigClose|sigNews)
			_, err := c.in.Peek(1)
			c.begin()
			if errors.Is(err, link.ErrWoken) && !c.t.Has(sigClose) {
				continue
			}
			if err != nil {
				return done{}, err
			}
		}
		c.t.Wait(c.cfg.CommandTimeout, 0)
		line, err := appendLine(c.in, nil, 64)
		if le := lineError(err); le != nil {
			return done{}, le
		} else if err != nil {
			return done{}, err
		}
		if !strings.EqualFold(string(line), "DONE") {
			return done{}, bad("Expected DONE")
		}
		return done{text: "Idle ended"}, nil
	}
}
