package imap

import (
	"context"
	"errors"
	"strings"
)

// idleExtension is IDLE, RFC 2177.
func idleExtension() extension {
	return extension{
		capabilities: afterLogin("IDLE"),
		commands:     map[string]command{"IDLE": {states: loggedIn, parse: fixed(idleCommand{})}},
	}
}

type idleCommand struct{}

// run leaves the waiting to the connection: see await, tellNews and endIdle.
func (idleCommand) run(_ context.Context, c *conn) (done, error) {
	c.out.str("+ idling\r\n")
	c.idling = true
	return done{}, nil
}

// tellNews sends what there is to say in IDLE, the "+" that begins it among it.
func (c *conn) tellNews() error {
	if c.sel != nil {
		if err := c.sync(true); err != nil {
			return err
		}
	}
	return c.flush()
}

// endIdle takes the line that ends IDLE.
func (c *conn) endIdle() error {
	c.idling = false
	line, err := appendLine(c.in, nil, 64)
	if le := lineError(err); le != nil {
		err = le
	} else if err != nil {
		return err
	} else if !strings.EqualFold(string(line), "DONE") {
		err = bad("Expected DONE")
	}
	var f *failure
	if err != nil {
		f = asFailure(err)
	}
	var gone error
	if c.sel != nil {
		gone = c.sync(true)
	}
	return errors.Join(c.reply(c.tag, done{text: "Idle ended"}, f), gone)
}
