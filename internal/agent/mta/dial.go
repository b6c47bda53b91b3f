package mta

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
)

// stagger is the time after which the other family is tried beside the first, RFC 8305 §5.
const stagger = 250 * time.Millisecond

// dialed is a connection with the hop that it leads to.
type dialed struct {
	net.Conn
	hop hop
	err error
}

// dial connects to a hop: to both its addresses, where it has two, the second a little later or when the first has failed;
// the first that stands is used (RFC 8305 §5).
func (a *Agent) dial(ctx context.Context, rt *route, t *terms, h hop) (net.Conn, hop, *failure) {
	ctx, cancel := context.WithTimeout(ctx, or(rt.set.Connect, defaultConnect))
	defer cancel()
	ways := []hop{h}
	if h.other.IsValid() {
		ways[0].other = netip.AddrPort{}
		second, _ := h.without(h.addr)
		ways = append(ways, second)
	}
	results := make(chan dialed, len(ways))
	started, ended := 0, 0
	begin := func() {
		w := ways[started]
		started++
		go func() { results <- a.dialOne(ctx, rt, t, w) }()
	}
	begin()
	next := time.NewTimer(stagger)
	defer next.Stop()
	var won, lost dialed
	for ended < started {
		select {
		case <-next.C:
			if started < len(ways) && won.Conn == nil {
				begin()
			}
		case r := <-results:
			ended++
			switch {
			case r.err != nil && won.Conn == nil && started < len(ways):
				lost = r
				begin()
			case r.err != nil:
				if r.blame() >= lost.blame() {
					lost = r
				}
			case won.Conn != nil:
				_ = r.Conn.Close() // it came second, and nothing was said
			default:
				won = r
				cancel() // whoever is still at it returns at once
			}
		}
	}
	if won.Conn == nil && lost.blame() != byThem {
		f := ours(status.Temp(451, 3, 0, "connection to "+lost.hop.String()+": "+reason(lost.err)), lost.err).in("connect").ownTrouble()
		f.family = lost.blame() == byFamily
		return nil, h, f
	}
	if won.Conn == nil { // RFC 3463 §3.5: no answer from host
		return nil, h, ours(status.Temp(451, 4, 1, "connection to "+lost.hop.String()+": "+reason(lost.err)), lost.err).in("connect")
	}
	return won.Conn, won.hop, nil
}

func (a *Agent) dialOne(ctx context.Context, rt *route, t *terms, h hop) dialed {
	if h.unix != "" {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", h.unix)
		return dialed{c, h, err}
	}
	from, ok := rt.set.source(t.pool, h.addr.Addr(), t.turn)
	if !ok {
		return dialed{nil, h, errNoSource}
	}
	c, err := a.opt.Dial(ctx, from.Addr, h.addr)
	return dialed{c, h, err}
}

// culprit is whose trouble it is that no connection stands. Of two addresses of a host the greater one counts.
type culprit uint8

const (
	byFamily culprit = iota // this host has no address of the family: the other family tells more
	byThem                  // the host's, or the network's
	byUs                    // ours; nobody knows whether the host is there
)

func (d dialed) blame() culprit {
	if d.err == nil {
		return byFamily
	}
	return blame(d.err, d.hop.addr.Addr().Is6())
}

// blame tells whose trouble an error of a dial is. six: to an address of IPv6, which a host may have no address for.
func blame(err error, six bool) culprit {
	var call *os.SyscallError
	unbound := errors.As(err, &call) && (call.Syscall == "socket" || call.Syscall == "bind")
	switch {
	case errors.Is(err, errNoSource), errors.Is(err, syscall.EAFNOSUPPORT), six && !unbound && errors.Is(err, syscall.EADDRNOTAVAIL):
		return byFamily
	case unbound, errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), // no port is left
		errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return byUs
	}
	return byThem
}

// errNoSource is an address that the sender's pool cannot reach.
var errNoSource = &net.AddrError{Err: "the egress pool of the sender has no address of this family"}
