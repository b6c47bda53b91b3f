package imap

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// startTLSExtension is STARTTLS, RFC 9051 §6.2.1.
func startTLSExtension() extension {
	return extension{
		capabilities: func(c *conn) []string {
			if !c.canStartTLS() {
				return nil
			}
			return []string{"STARTTLS"}
		},
		commands: map[string]command{"STARTTLS": {states: notAuthenticated, parse: fixed(startTLSCommand{})}},
	}
}

func (c *conn) canStartTLS() bool {
	return c.state == notAuthenticated && c.mode == StartTLS && !c.secure && c.cfg.TLS != nil
}

type startTLSCommand struct{}

func (startTLSCommand) run(ctx context.Context, c *conn) (done, error) {
	if !c.canStartTLS() {
		return done{}, bad("STARTTLS is not available")
	}
	// What came in the clear behind the command could be taken for something said under TLS (CVE-2011-0411).
	if c.in.Buffered() > 0 {
		c.bye("", "Data after STARTTLS")
		return done{}, errClose
	}
	return done{text: "Begin TLS negotiation now", then: c.startTLS}, nil
}

// loginExtension is AUTHENTICATE with SASL-IR (RFC 9051 §6.2.2, RFC 4959) and LOGIN. Both only where nobody overhears.
func loginExtension() extension {
	return extension{
		capabilities: func(c *conn) []string {
			switch {
			case c.state != notAuthenticated:
				return []string{"SASL-IR"}
			case !c.secure:
				return []string{"SASL-IR", "LOGINDISABLED"} // RFC 9051 §6.2.3
			}
			out := []string{"SASL-IR"}
			for _, m := range c.cfg.SASL.Offered(c.origin()) {
				out = append(out, "AUTH="+m)
			}
			if !c.hasPlain() {
				out = append(out, "LOGINDISABLED")
			}
			return out
		},
		commands: map[string]command{
			"AUTHENTICATE": {states: notAuthenticated, parse: parseAuthenticate},
			"LOGIN":        {states: notAuthenticated, parse: parseLogin},
		},
	}
}

func (c *conn) hasPlain() bool { return slices.Contains(c.cfg.SASL.Mechanisms(), sasl.Plain) }

var errNeedTLS = &failure{status: "NO", code: "PRIVACYREQUIRED", text: "Login needs TLS first"} // RFC 5530 §3

type loginCommand struct{ name, password string }

func parseLogin(p *parser) runner {
	p.sp()
	name := p.astring()
	p.sp()
	return &loginCommand{name, p.astring()}
}

func (l *loginCommand) run(ctx context.Context, c *conn) (done, error) {
	if !c.secure {
		return done{}, errNeedTLS
	}
	if !c.hasPlain() {
		return done{}, no("", "LOGIN is disabled")
	}
	x, err := c.cfg.SASL.Start(sasl.Plain)
	if err != nil {
		return done{}, err
	}
	if _, _, err = x.Next(sasl.WithOrigin(ctx, c.origin()), []byte("\x00"+l.name+"\x00"+l.password)); err != nil {
		return done{}, c.loginFailed(err)
	}
	return c.loggedIn(ctx, x.Identity())
}

type authenticateCommand struct {
	mech    string
	initial string // base64; "=": empty
	has     bool
}

func parseAuthenticate(p *parser) runner {
	p.sp()
	a := &authenticateCommand{mech: p.atom()}
	if p.eat(' ') {
		a.has, a.initial = true, p.span(func(c byte) bool { return c > ' ' && c < 0x7f })
	}
	return a
}

func (a *authenticateCommand) run(ctx context.Context, c *conn) (done, error) {
	if !c.secure {
		return done{}, errNeedTLS
	}
	x, err := c.cfg.SASL.Start(a.mech)
	if err != nil {
		return done{}, no("", "Unknown authentication mechanism")
	}
	var response []byte // nil: none yet
	if a.has {
		if response, err = sasl.DecodeInitial(a.initial); err != nil {
			return done{}, bad("Malformed initial response")
		}
	}
	from := sasl.WithOrigin(ctx, c.origin())
	for {
		challenge, finished, err := x.Next(from, response)
		if err != nil {
			return done{}, c.loginFailed(err)
		}
		if finished {
			return c.loggedIn(ctx, x.Identity())
		}
		if response, err = c.challenge(challenge); err != nil {
			return done{}, err
		}
	}
}

// challenge sends a challenge and reads the response.
func (c *conn) challenge(challenge []byte) ([]byte, error) {
	c.out.str("+ ", sasl.Encode(challenge), "\r\n")
	if err := c.flush(); err != nil {
		return nil, err
	}
	line, err := appendLine(c.in, nil, sasl.MaxLine)
	if le := lineError(err); le != nil {
		return nil, le
	} else if err != nil {
		return nil, err
	}
	response, err := sasl.DecodeResponse(string(line))
	if errors.Is(err, sasl.ErrCancelled) {
		return nil, bad("Authentication cancelled") // RFC 9051 §6.2.2: BAD for "*"
	} else if err != nil {
		return nil, bad("Malformed response")
	}
	return response, nil
}

func (c *conn) loginFailed(err error) error {
	e := status.Of(err)
	if e.Code == sasl.ErrMalformed.Code {
		return bad("Malformed authentication message")
	}
	if e.Class == status.Permanent {
		c.failures++
	}
	f := asFailure(err)
	f.err = nil // sasl.Options.Report has it
	return f
}

func (c *conn) loggedIn(ctx context.Context, id sasl.Identity) (done, error) {
	account, err := c.srv.backend.Account(ctx, id)
	if err != nil {
		return done{}, err
	}
	p := c.peer()
	p.Identity = id
	if err := c.cfg.Observer.LoggedIn(p); err != nil {
		account.Close()
		c.failures++ // who is told to go away shall not ask for ever
		f := asFailure(err)
		f.err = nil // the observer knows
		return done{}, f
	}
	c.account, c.id, c.state, c.bad = account, id, authenticated, 0
	c.t.Limit(time.Time{})
	c.log = c.log.With("account", id.Name)
	// RFC 9051 §6.2.2: the list has changed, and is given unasked.
	return done{code: "CAPABILITY " + c.capabilities(), text: "Logged in"}, nil
}
