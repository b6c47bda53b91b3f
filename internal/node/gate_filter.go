package node

import (
	"context"
	"net/netip"

	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/agent/proxy"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/accept"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// contentFilter sends mail that nobody has sent elsewhere through filters.content_filter, when it is accepted.
type contentFilter string

var _ gate.Gate = contentFilter("")

// Connect begins a session.
func (f contentFilter) Connect(context.Context, *gate.Conn) (gate.Session, error) {
	return filtering{to: string(f)}, nil
}

type filtering struct {
	gate.Open
	to string
}

// Message names the filter; a FILTER of the checks or of an access table has chosen another.
func (f filtering) Message(_ context.Context, tx *gate.Transaction, _ *gate.Message) error {
	if tx.Changes.Filter == "" {
		tx.Changes.Filter = f.to
		tx.Conn.Tell(gate.AtMessage, "content_filter", f.to)
	}
	return nil
}

// reinjected lets filters bring back what was judged before it went to them, for anybody. Nobody else may.
type reinjected struct {
	may func(netip.Addr) bool
}

// errReinject names the setting, since only those who administer the host meet it.
var errReinject = status.Perm(554, 7, 1, "Access denied: only clients in filters.reinject_networks bring mail back here")

func (g reinjected) Connect(_ context.Context, c *gate.Conn) (gate.Session, error) {
	if !g.may(c.Client.Addr.Addr()) {
		return nil, errReinject
	}
	return backAgain{}, nil
}

type backAgain struct{ gate.Open }

// Rcpt lets the message go anywhere.
func (backAgain) Rcpt(_ context.Context, tx *gate.Transaction, _ *envelope.Recipient) error {
	tx.MayRelay = true
	return nil
}

// checkFilters tells what of [filters] cannot be read: milters, and the filter after the queue, which must lead out of here.
func checkFilters(c *config.Config) (wrong []certs.Problem) {
	f := &c.Filters
	note := func(key string, err error) {
		if err != nil {
			wrong = append(wrong, certs.Problem{Key: key, Text: err.Error()})
		}
	}
	_, err := parseMilters(c, f.SmtpdMilters)
	note("filters.smtpd_milters", err)
	_, err = parseMilters(c, f.NonSmtpdMilters)
	note("filters.non_smtpd_milters", err)
	note("filters.content_filter", route.CheckFilter(f.ContentFilter, programs(c)))
	return wrong
}

// filterGate is the last of those who judge content.
func (n *Node) filterGate(c *config.Config) gate.Chain {
	if c.Filters.ContentFilter == "" {
		return nil
	}
	return gate.Chain{contentFilter(c.Filters.ContentFilter)}
}

// reinjectConfig is the engine's configuration for the listener on which filters bring mail back: they may tell by XFORWARD
// whose it was.
func (n *Node) reinjectConfig(c *config.Config) *smtp.Config {
	e := n.mxConfig(c, "reinject", nil)
	may := e.XForward
	e.XForward = func(a netip.Addr) bool { return c.Filters.ReinjectNetworks.Contains(a.Unmap()) || may != nil && may(a) }
	return e
}

// proxyFilter is the filter before the queue. What comes back from it does not go there again.
func (n *Node) proxyFilter(c *config.Config, service string) accept.Proxy {
	f := &c.Filters
	if f.SmtpdProxyFilter == "" || service == "reinject" || service == "lmtp" {
		return nil
	}
	p := &proxy.Filter{Address: f.SmtpdProxyFilter, Hello: f.SmtpdProxyEhlo, Timeout: f.SmtpdProxyTimeout.D()}
	if p.Hello == "" {
		p.Hello = c.Hostname
	}
	return p
}
