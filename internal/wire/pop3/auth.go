package pop3

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
)

var errNeedTLS = misuse("Login needs TLS first")

func (c *conn) canStartTLS() bool {
	return c.state == authorization && c.mode == StartTLS && !c.secure && c.cfg.TLS != nil
}

func (c *conn) hasPlain() bool { return slices.Contains(c.cfg.SASL.Mechanisms(), sasl.Plain) }

// stlsCommand is STLS, RFC 2595 §4.
func stlsCommand(ctx context.Context, c *conn, _ []string) error {
	if !c.canStartTLS() {
		return misuse("STLS is not available")
	}
	c.ok("Begin TLS negotiation now")
	if err := c.flush(); err != nil {
		return err
	}
	// What came in the clear behind the command would be taken for something said under TLS (CVE-2011-0411). Nothing of it
	// is looked at; a client that was cut short by somebody between us fails in the handshake.
	_, _ = c.in.Discard(c.in.Buffered())
	if err := c.startTLS(ctx); err != nil {
		c.log.Info("pop3: TLS handshake failed", "err", err)
		c.why = EndTLS
		return errClose
	}
	c.user = "" // RFC 2595 §4: nothing said before counts
	return nil
}

// userCommand is USER, RFC 1939 §7. Whether there is such a user is told after PASS, and not even then.
func userCommand(_ context.Context, c *conn, args []string) error {
	if !c.secure {
		return errNeedTLS
	}
	if !c.hasPlain() {
		return misuse("USER is disabled")
	}
	c.user = args[0]
	c.ok("Password, please")
	return nil
}

// passCommand is PASS, RFC 1939 §7. Names and passwords are UTF-8 (RFC 6856 §2.2); spaces belong to the password.
func passCommand(ctx context.Context, c *conn, args []string) error {
	if !c.secure {
		return errNeedTLS
	}
	name := c.user
	if name == "" {
		return misuse("USER comes first")
	}
	c.user = ""
	x, err := c.cfg.SASL.Start(sasl.Plain)
	if err != nil {
		return err
	}
	if _, _, err = x.Next(sasl.WithOrigin(ctx, c.origin()), []byte("\x00"+name+"\x00"+args[0])); err != nil {
		return c.loginFailed(err)
	}
	return c.loggedIn(ctx, x.Identity(), "USER")
}

// authCommand is AUTH, RFC 5034 §4. Alone it lists the mechanisms, as before CAPA was.
func authCommand(ctx context.Context, c *conn, args []string) error {
	if len(args) == 0 {
		c.ok("Mechanisms follow")
		if c.secure {
			for _, m := range c.cfg.SASL.Offered(c.origin()) {
				c.text(m)
			}
		}
		c.text(".")
		return nil
	}
	if !c.secure {
		return errNeedTLS
	}
	x, err := c.cfg.SASL.Start(args[0])
	if err != nil {
		return misuse("Unknown authentication mechanism")
	}
	var response []byte // nil: none yet
	if len(args) == 2 {
		if response, err = sasl.DecodeInitial(args[1]); err != nil {
			return misuse("Malformed initial response")
		}
	}
	from := sasl.WithOrigin(ctx, c.origin())
	for {
		challenge, finished, err := x.Next(from, response)
		if err != nil {
			return c.loginFailed(err)
		}
		if finished {
			return c.loggedIn(ctx, x.Identity(), x.Mechanism())
		}
		if response, err = c.challenge(challenge); err != nil {
			return err
		}
	}
}

// challenge sends a challenge and reads the response.
func (c *conn) challenge(challenge []byte) (_ []byte, err error) {
	c.text("+ ", sasl.Encode(challenge))
	if err := c.flush(); err != nil {
		return nil, err
	}
	c.release() // who has not logged in yet shall not hold more than who is idle
	c.t.Wait(c.cfg.IdleTimeout, 0)
	c.line, err = readLine(c.in, c.line[:0])
	c.t.Wait(c.cfg.LineTimeout, 0)
	c.begin()
	if err != nil {
		return nil, err
	}
	response, err := sasl.DecodeResponse(string(c.line))
	if errors.Is(err, sasl.ErrCancelled) {
		return nil, misuse("Authentication cancelled")
	} else if err != nil {
		return nil, misuse("Malformed response")
	}
	return response, nil
}

func (c *conn) loginFailed(err error) error {
	e := status.Of(err)
	if e.Code == sasl.ErrMalformed.Code {
		return misuse("Malformed authentication message")
	}
	if e.Class == status.Permanent {
		c.failures++
	}
	r := asRefusal(err)
	r.err = nil // sasl.Options.Report has it
	return r
}

// loggedIn opens the maildrop of who has authenticated.
func (c *conn) loggedIn(ctx context.Context, id sasl.Identity, mechanism string) error {
	now, delay := c.cfg.Clock(), c.cfg.LoginDelay
	if id.Master != "" {
		delay = 0 // an operator neither waits nor makes the account's owner wait
	}
	if c.srv.delays.early(id.Account, now, delay) {
		// RFC 2449 §8.1.1
		return &refusal{code: "LOGIN-DELAY", text: "Wait " + seconds(delay) + " seconds between two logins"}
	}
	var list listing
	drop, err := c.srv.backend.Open(ctx, id, list.add)
	if err != nil {
		return err
	}
	c.drop, c.id, c.mechanism = drop, id, mechanism
	if err := c.cfg.Observer.LoggedIn(c.peer()); err != nil {
		c.drop, c.id, c.mechanism = nil, sasl.Identity{}, ""
		drop.Close()
		c.failures++ // who is told to go away shall not ask for ever
		r := asRefusal(err)
		r.err = nil // the observer knows
		return r
	}
	c.srv.delays.note(id.Account, now, delay)
	list.complete()
	c.list, c.state = list, transaction
	c.stats.Messages, c.stats.Bytes = list.count, list.octets
	c.t.Limit(time.Time{})
	c.log = c.log.With("account", id.Name)
	c.ok(strconv.Itoa(list.count), " messages (", strconv.FormatInt(list.octets, 10), " octets)")
	return nil
}

// seconds writes a duration, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
