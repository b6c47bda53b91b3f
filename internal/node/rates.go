package node

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/rate"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs/metrics"
	"github.com/postrider/postrider/internal/wire/link"
)

// ratesRemember is how many clients are counted, how many accounts, and how many names of strangers: a flood of one kind makes
// nobody of another forgotten. Some 15 MiB for each that is full.
const ratesRemember = 1 << 16

// rates are the counts of what clients, accounts and others do.
type rates struct {
	clients  *rate.Table // by address and network
	accounts *rate.Table // by account and tenant; over a restart too
	names    *rate.Table // by what strangers name: domains, recipients
	refused  func(values ...string) metrics.Counter
	told     sometimes
	saved    time.Time // accounts: when that was last tried. It belongs to who saves, as does
	rows     int       // how many of them the database has
}

func (n *Node) newRates() *rates {
	return &rates{clients: rate.NewTable(ratesRemember), accounts: rate.NewTable(ratesRemember), names: rate.NewTable(ratesRemember),
		refused: n.metrics.CounterVec("rate_refusals_total", "What was refused because a limit in time was reached, by the limit's key.", "limit")}
}

// unlimited tells whose address the limits of clients do not hold for.
func unlimited(c *config.Config, a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsValid() || c.Limits.ExemptNetworks.Contains(a) || c.Access.Mynetworks.Contains(a) || c.Rates.Exceptions.Contains(a) ||
		c.Edges.ProxyNetworks.Contains(a)
}

// within counts an event of a client against one limit; false: there are too many.
func (n *Node) within(setting string, most int, a netip.Addr, now time.Time) bool {
	ok := n.ask(n.rates.clients.Take, setting, most, a, now)
	if !ok {
		n.rates.refused(setting).Inc()
	}
	return ok
}

// ask asks one of the methods of a Table about an event of a client.
func (n *Node) ask(ask func(rate.Key, int64, rate.Limit, time.Time) bool, setting string, most int, a netip.Addr, now time.Time) bool {
	c := n.config.Load()
	return most == 0 || unlimited(c, a) || ask(rate.Key{Measure: setting, Site: site(a)}, 1, rate.Limit{Most: int64(most), Per: c.Rates.TimeUnit.D()}, now)
}

// mayAuthenticate counts a login against smtpd_client_auth_rate_limit.
func (n *Node) mayAuthenticate(a netip.Addr, now time.Time) error {
	if n.within("smtpd_client_auth_rate_limit", n.config.Load().Rates.ClientAuth, a, now) {
		return nil
	}
	return status.Temp(450, 7, 1, fmt.Sprintf("Error: too many AUTH commands from %s", a.Unmap()))
}

// mayRead counts a connection of somebody who reads mail; it returns what he is told who comes too often, in the clear.
func (n *Node) mayRead(service string, a netip.Addr) (words string, refused bool) {
	f := family(service)
	if f != "imap" && f != "pop3" || n.within("reader_connection_rate_limit", n.config.Load().Rates.ReaderConnections, a, n.opt.Now()) {
		return "", false
	}
	text := fmt.Sprintf("Too many connections from %s; try again later", a.Unmap())
	switch service {
	case "imap":
		return "* BYE [UNAVAILABLE] " + text + "\r\n", true
	case "pop3":
		return "-ERR [SYS/TEMP] " + text + "\r\n", true
	}
	return "", true
}

// handshake counts a TLS session that begins; one that turns out to be resumed is taken back.
func (n *Node) handshake(a netip.Addr, peek bool) (resumed func(), err error) {
	const setting = "smtpd_client_new_tls_session_rate_limit"
	most, now := n.config.Load().Rates.ClientTLS, n.opt.Now()
	if peek && !n.ask(n.rates.clients.Fits, setting, most, a, now) || !peek && !n.within(setting, most, a, now) {
		return nil, status.Temp(454, 7, 0, fmt.Sprintf("Error: too many new TLS sessions from %s", a.Unmap()))
	}
	return func() {
		c := n.config.Load()
		if most > 0 && !unlimited(c, a) {
			n.rates.clients.Add(rate.Key{Measure: setting, Site: site(a)}, -1, rate.Limit{Most: int64(most), Per: c.Rates.TimeUnit.D()}, n.opt.Now())
		}
	}, nil
}

// tenantOf finds whose an account is; 0: it is gone.
func (n *Node) tenantOf(ctx context.Context, login string) (int64, error) {
	acc, found, err := n.directory.LoginAccount(ctx, login)
	if err != nil || !found {
		return 0, err
	}
	return acc.Tenant, nil
}

// networkOf is link.Network, and for addresses of private networks their site.
func networkOf(a netip.Addr) netip.Prefix {
	if p := link.Network(a); p.IsValid() {
		return p
	}
	return site(a)
}
