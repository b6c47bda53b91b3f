package imap

import "context"

// baseExtension is what works in any state: CAPABILITY, NOOP, LOGOUT (RFC 9051 §6.1).
func baseExtension() extension {
	return extension{
		capabilities: always("IMAP4rev1", "IMAP4rev2"),
		commands: map[string]command{
			"CAPABILITY": {states: anyState, parse: fixed(capabilityCommand{})},
			"NOOP":       {states: anyState, parse: fixed(noopCommand{})},
			"LOGOUT":     {states: anyState, parse: fixed(logoutCommand{})},
		},
	}
}

// fixed is the parser of a command without arguments.
func fixed(r runner) func(*parser) runner { return func(*parser) runner { return r } }

type capabilityCommand struct{}

func (capabilityCommand) run(_ context.Context, c *conn) (done, error) {
	c.out.str("* CAPABILITY ", c.capabilities(), "\r\n")
	return done{}, nil
}

type noopCommand struct{}

func (noopCommand) run(context.Context, *conn) (done, error) { return done{}, nil }

type logoutCommand struct{}

func (logoutCommand) run(_ context.Context, c *conn) (done, error) {
	c.out.str("* BYE Logging out\r\n")
	c.deselect()
	c.state, c.why = loggedOut, EndLogout
	return done{}, nil
}
