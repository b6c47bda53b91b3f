package mta

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/internal/wire/smtp"
)

const (
	defaultConnect = 30 * time.Second
	// defaultTLSTimeout bounds a handshake from the first byte, as smtp.ClientTimeouts.TLS does behind STARTTLS.
	defaultTLSTimeout = 2 * time.Minute
)

// conn is a connection ready for a message.
type conn struct {
	*smtp.Client
	key  key
	hop  hop
	used int // transactions
}

// key says which tasks may use a connection. New settings never meet a connection that was made under old ones.
type key struct {
	set         *Settings
	hop         hop
	lmtp, smart bool
}

func (rt *route) key(h hop) key { return key{rt.set, h, rt.lmtp, rt.smart} }

// connect makes a connection. Where TLS may fail, it is made a second time in the clear: after a broken handshake nothing
// is known about what the other side would read next (RFC 3207 §4.1).
func (a *Agent) connect(ctx context.Context, rt *route, h hop) (*conn, *failure) {
	c, f := a.open(ctx, rt, h, rt.level())
	if f != nil && f.handshake && rt.level() == TLSMay && !rt.implicit() && ctx.Err() == nil {
		a.opt.Log.Warn("TLS failed; the connection is made again in the clear", obs.KeyComponent, "mta", obs.KeyRelay, h.String(),
			obs.KeyError, f.cause)
		c, f = a.open(ctx, rt, h, TLSNone)
	}
	if f != nil && rt.configured {
		f = f.temporary() // a host that somebody configured: a refusal of all mail can be mended
	}
	return c, f
}

// open makes a connection with at least as much TLS as level demands.
func (a *Agent) open(ctx context.Context, rt *route, h hop, level TLS) (*conn, *failure) {
	nc, f := a.dial(ctx, rt, h)
	if f != nil {
		return nil, f
	}
	c := &conn{key: rt.key(h), hop: h, Client: smtp.NewClient(nc, smtp.ClientOptions{Hello: rt.set.Hello, LMTP: rt.lmtp,
		Timeouts: rt.set.Timeouts, Strict8Bit: rt.set.Bounce8Bit})}
	err := c.Hello(ctx)
	if err != nil {
		f = broken(h, err)
	} else if f = c.secure(ctx, rt, level); f == nil {
		f = c.authenticate(ctx, rt)
	}
	if f != nil {
		a.pool.discard(c)
		return nil, f
	}
	return c, nil
}

// dial connects, with TLS where that comes first.
func (a *Agent) dial(ctx context.Context, rt *route, h hop) (net.Conn, *failure) {
	bounded, cancel := context.WithTimeout(ctx, or(rt.set.Connect, defaultConnect))
	defer cancel()
	var nc net.Conn
	var err error
	if h.unix != "" {
		nc, err = (&net.Dialer{}).DialContext(bounded, "unix", h.unix)
	} else {
		nc, err = a.opt.Dial(bounded, rt.set.local(h.addr.Addr()), h.addr)
	}
	if err != nil { // RFC 3463 §3.5: no answer from host
		return nil, ours(status.Temp(451, 4, 1, "connection to "+h.String()+": "+reason(err)), err)
	}
	if !rt.implicit() {
		return nc, nil
	}
	bounded, cancel = context.WithTimeout(ctx, or(rt.set.Timeouts.TLS, defaultTLSTimeout))
	defer cancel()
	t := tls.Client(nc, rt.set.tlsConfig(rt.level(), h.name))
	if err := t.HandshakeContext(bounded); err != nil {
		_ = nc.Close() // it is of no use any more
		return nil, ours(status.Temp(454, 7, 5, "TLS with "+h.String()+" failed: "+reason(err)), err).at(h)
	}
	return t, nil
}

// secure brings TLS up, if it is not yet.
func (c *conn) secure(ctx context.Context, rt *route, level TLS) *failure {
	if level == TLSNone || c.TLS() != nil {
		return nil
	}
	if _, offered := c.Extension("STARTTLS"); !offered {
		if level == TLSMay {
			return nil
		}
		return ours(status.Temp(451, 7, 4, "TLS is required, and "+c.hop.String()+" does not offer it"), nil).at(c.hop)
	}
	err := c.StartTLS(ctx, rt.set.tlsConfig(level, c.hop.name))
	var ce *smtp.ClientError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ce) && ce.Reply.Code != 0 && c.TLS() == nil: // it did not want to, and remains in the clear
		if level == TLSMay && c.Usable() {
			return nil
		}
		return refused(c.hop, ce.Reply).temporary()
	}
	f := broken(c.hop, err)
	f.handshake = true // or the greeting behind it: TLS 1.3 shows a refusal only then
	return f
}

// authenticate logs in at the smart host. Any failure is for us or its operator to mend, so none is for good.
func (c *conn) authenticate(ctx context.Context, rt *route) *failure {
	h := &rt.set.SmartHost
	if !rt.smart || h.User == "" {
		return nil
	}
	err := c.Auth(ctx, sasl.Credentials{Name: h.User, Password: h.Password})
	var ce *smtp.ClientError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ce) && ce.Reply.Code != 0:
		return refused(c.hop, ce.Reply).temporary()
	case c.TLS() == nil:
		return ours(status.Temp(451, 7, 4, "no authentication at "+c.hop.String()+" without TLS"), err).at(c.hop)
	case errors.Is(err, sasl.ErrNoMechanism):
		return ours(status.Temp(451, 7, 0, c.hop.String()+" offers no way to authenticate that we know"), err).at(c.hop)
	}
	return broken(c.hop, err)
}

// or is d, or the default where d is not set.
func or(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
