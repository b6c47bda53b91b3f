package node

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/decide/access"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/dns"
)

// Bounds of the look-up of a client's names.
const (
	namesAtOnce   = 500
	maxNames      = 10                     // of one address
	waitForName   = 10 * time.Second       // where restrictions judge by it
	waitForNobody = 250 * time.Millisecond // where only log and Received show it
)

var errNamesBusy = errors.New("too many clients' names are being looked up")

// clientNames finds out what clients are called: the name that leads to an address and back is Client.Name, the first one
// that the address has is Reverse. The look-up begins with the connection and is waited for at MAIL.
type clientNames struct {
	resolver nameResolver
	slots    chan struct{}
}

func newClientNames(r nameResolver) *clientNames {
	return &clientNames{r, make(chan struct{}, namesAtOnce)}
}

// gate is the gate of a service, in front of those that judge by names.
func (n *clientNames) gate(p *access.Policy) gate.Gate {
	g := namesGate{n, waitForNobody, false}
	if p.NeedsNames() {
		g.wait = waitForName
	}
	g.early = p.Early()
	return g
}

type namesGate struct {
	*clientNames
	wait  time.Duration
	early bool // the lists judge before MAIL
}

// Connect begins the look-up.
func (g namesGate) Connect(ctx context.Context, c *gate.Conn) (gate.Session, error) {
	s := &namesSession{conn: c, wait: g.wait}
	addr := c.Client.Addr.Addr().Unmap()
	switch {
	case c.NameTold || c.Client.Name != "" || c.Reverse != "" || !addr.IsValid(): // told by a proxy, or by who explains; "none" is told too
		return s, nil
	case addr.IsLoopback():
		c.Client.Name, c.Reverse = "localhost", "localhost"
		return s, nil
	}
	select {
	case g.slots <- struct{}{}:
	default:
		c.NameErr = errNamesBusy
		return s, nil
	}
	ctx, s.cancel = context.WithTimeout(ctx, waitForName)
	s.found = make(chan names, 1)
	go func() {
		defer func() { <-g.slots }()
		s.found <- g.lookup(ctx, addr)
	}()
	if g.early {
		s.await(ctx)
	}
	return s, nil
}

// names are what an address is called.
type names struct {
	name, reverse string
	err           error
}

// lookup asks for the names of an address, and whether one of them leads back.
func (n *clientNames) lookup(ctx context.Context, addr netip.Addr) (out names) {
	list, _, err := n.resolver.LookupPTR(ctx, addr)
	if err != nil {
		if dns.IsTemporary(err) {
			out.err = err
		}
		return out
	}
	out.reverse = list[0]
	for _, name := range list[:min(len(list), maxNames)] {
		addrs, _, err := n.resolver.LookupIP(ctx, name, dns.AnyIP)
		if slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == addr }) {
			return names{name: name, reverse: out.reverse}
		}
		if dns.IsTemporary(err) {
			out.err = err
		}
	}
	return out
}

// namesSession is one connection.
type namesSession struct {
	gate.Open
	conn   *gate.Conn
	wait   time.Duration
	found  chan names // nil: nothing is under way
	cancel context.CancelFunc
}

// Mail waits for what was found.
func (s *namesSession) Mail(ctx context.Context, tx *gate.Transaction) error {
	s.await(ctx)
	tx.Client.Name = s.conn.Client.Name
	return nil
}

func (s *namesSession) await(ctx context.Context) {
	if s.found == nil {
		return
	}
	t := time.NewTimer(s.wait)
	defer t.Stop()
	select {
	case f := <-s.found:
		s.conn.Client.Name, s.conn.Reverse, s.conn.NameErr = f.name, f.reverse, f.err
		s.found = nil
	case <-t.C:
		s.conn.NameErr = context.DeadlineExceeded
		s.wait = 0 // the next MAIL takes what has come meanwhile
	case <-ctx.Done():
	}
}

// Close ends the look-up, and waits for its end.
func (s *namesSession) Close() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	if s.found != nil {
		<-s.found
	}
}
