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
	key   key
	hop   hop
	used  int    // transactions
	trust string // of its TLS, obs.Attempt.Trust
}

// connect makes a connection. Where TLS may fail, it is made a second time in the clear: after a broken handshake nothing
// is known about what the other side would read next (RFC 3207 §4.1). tr may be nil.
func (a *Agent) connect(ctx context.Context, rt *route, h hop, t *terms, tr *trial) (*conn, *failure) {
	c, f := a.open(ctx, rt, h, t, tr)
	if f != nil && f.handshake && t.policy.Level == TLSMay && !rt.implicit(h) && !rt.requireTLS && ctx.Err() == nil {
		a.opt.Log.Warn("TLS failed; the connection is made again in the clear", obs.KeyComponent, "mta", obs.KeyRelay, h.String(),
			obs.KeyError, f.cause)
		clear := *t
		clear.policy = Policy{Level: TLSNone}
		tr.again(h, f)
		if c, f = a.open(ctx, rt, h, &clear, tr); c != nil {
			c.key, _ = t.key(rt, c.hop) // the next message need not fail first
		}
	}
	if f != nil && rt.configured && !f.required {
		f = f.temporary() // a host that somebody configured: a refusal of all mail can be mended
	}
	return c, f
}

// open makes a connection with as much TLS as the terms demand.
func (a *Agent) open(ctx context.Context, rt *route, h hop, t *terms, tr *trial) (*conn, *failure) {
	nc, h, f := a.dial(ctx, rt, t, h)
	if f != nil {
		return nil, f
	}
	tr.dialed(h, nc)
	if rt.implicit(h) {
		if nc, f = a.handshake(ctx, rt, h, t, nc); f != nil {
			return nil, f.reached(h)
		}
	}
	k, _ := t.key(rt, h) // it was dialed, so there is an address of ours
	c := &conn{key: k, hop: h, Client: smtp.NewClient(nc, smtp.ClientOptions{Hello: k.from.Hello, LMTP: rt.lmtp,
		Timeouts: rt.set.Timeouts, Strict8Bit: rt.set.Bounce8Bit})}
	tr.listen(c)
	err := c.Hello(ctx)
	if err != nil {
		f = broken(h, err)
	} else if f = c.secure(ctx, rt, t); f == nil {
		if f = c.authenticate(ctx, t); f == nil && rt.requireTLS {
			f = c.promises()
		}
	}
	if f != nil {
		a.pool.discard(c)
		return nil, f.reached(h)
	}
	return c, nil
}

// handshake sets TLS up before the first byte of SMTP.
func (a *Agent) handshake(ctx context.Context, rt *route, h hop, t *terms, nc net.Conn) (net.Conn, *failure) {
	ctx, cancel := context.WithTimeout(ctx, or(rt.set.Timeouts.TLS, defaultTLSTimeout))
	defer cancel()
	up := tls.Client(nc, t.policy.config(rt.set.RootCAs, rt.set.Certificate))
	err := up.HandshakeContext(ctx)
	if err == nil {
		return up, nil
	}
	_ = nc.Close() // it is of no use any more
	return nil, untrusted(ours(status.Temp(454, 7, 5, "TLS with "+h.String()+" failed: "+reason(err)), err).at(h).in(string(smtp.PhaseTLS)), rt, err)
}

// untrusted makes a failure that REQUIRETLS demands final where the certificate was the reason.
func untrusted(f *failure, rt *route, err error) *failure {
	var wrong *errCertificate
	if rt.requireTLS && errors.As(err, &wrong) {
		f.status, f.required = requireTLS(), true
		f.text += " (the sender requires TLS)"
	}
	return f
}

// requireTLS is the status of RFC 8689 §7.
func requireTLS() status.Enhanced { return smtp.ErrRequireTLS.Enhanced }

// secure brings TLS up, if it is not yet.
func (c *conn) secure(ctx context.Context, rt *route, t *terms) *failure {
	level := t.policy.Level
	if level == TLSNone || c.TLS() != nil {
		return nil
	}
	if _, offered := c.Extension("STARTTLS"); !offered {
		if level == TLSMay {
			return nil
		}
		f := ours(status.Temp(451, 7, 4, "TLS is required, and "+c.hop.String()+" does not offer it"), nil).at(c.hop).in(string(smtp.PhaseTLS))
		if rt.requireTLS {
			f.status, f.required = requireTLS(), true
		}
		return f
	}
	err := c.StartTLS(ctx, t.policy.config(rt.set.RootCAs, rt.set.Certificate))
	var ce *smtp.ClientError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ce) && ce.Reply.Code != 0 && c.TLS() == nil: // it did not want to, and remains in the clear
		if level == TLSMay && c.Usable() {
			return nil
		}
		return refused(c.hop, ce.Reply).temporary().in(string(smtp.PhaseTLS))
	}
	f := untrusted(broken(c.hop, err), rt, err)
	f.handshake = true // or the greeting behind it: TLS 1.3 shows a refusal only then
	return f
}

// promises tells whether the host takes mail that requires TLS on, RFC 8689 §4.2.1. On this host nothing leaves.
func (c *conn) promises() *failure {
	if _, ok := c.Extension("REQUIRETLS"); ok || c.hop.addr.Addr().IsLoopback() {
		return nil
	}
	f := ours(smtp.ErrRequireTLS, nil).at(c.hop).in(string(smtp.PhaseHello))
	f.required = true
	return f
}

// authenticate logs in, where the terms have a name. Any failure is for us or the host's operator to mend, so none is for good.
func (c *conn) authenticate(ctx context.Context, t *terms) *failure {
	if t.user == "" {
		return nil
	}
	err := c.Auth(ctx, sasl.Credentials{Name: t.user, Password: t.password})
	var ce *smtp.ClientError
	var f *failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ce) && ce.Reply.Code != 0:
		f = refused(c.hop, ce.Reply).temporary()
	case c.TLS() == nil:
		f = ours(status.Temp(451, 7, 4, "no authentication at "+c.hop.String()+" without TLS"), err).at(c.hop)
	case errors.Is(err, sasl.ErrNoMechanism):
		f = ours(status.Temp(451, 7, 0, c.hop.String()+" offers no way to authenticate that we know"), err).at(c.hop)
	default:
		f = broken(c.hop, err)
	}
	return f.in(string(smtp.PhaseAuth))
}

// or is d, or the default where d is not set.
func or(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
