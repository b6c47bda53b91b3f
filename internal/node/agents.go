package node

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/agent/imapd"
	"github.com/postrider/postrider/internal/agent/mda"
	"github.com/postrider/postrider/internal/agent/msa"
	"github.com/postrider/postrider/internal/agent/mta"
	"github.com/postrider/postrider/internal/agent/mx"
	"github.com/postrider/postrider/internal/agent/report"
	"github.com/postrider/postrider/internal/agent/suppressor"
	"github.com/postrider/postrider/internal/config"
	aliasing "github.com/postrider/postrider/internal/decide/aliases"
	"github.com/postrider/postrider/internal/decide/filter"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/sieve"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// Mailbox deliveries are paced: nobody waits for them (250 was said), and a commit shared by what comes within some
// milliseconds costs a fraction. docs/design/0001-commit-path.md has the measurement.
const (
	mailboxWorkers = 1
	mailboxBatch   = 1024 // deliveries; docs/design/0008-speed.md
	mailboxFlying  = 1024
	mailboxPace    = 5 * time.Millisecond
)

// openQueue makes the queue with its agents.
func (n *Node) openQueue(c *config.Config) error {
	n.sites.Store(newSitePolicy(c))
	n.mta = mta.New(mta.Options{Source: n.blobs, Own: n.own, Now: n.opt.Now, Log: n.log.Logger, Events: n.events, SiteOf: n.siteOf}, nil)
	n.openSuppression()
	n.verifier = newVerifier(n.mta, n.opt.Now)
	n.reporter = &report.Reporter{Source: n.blobs, Now: n.opt.Now, Events: n.events, Log: n.log.Logger}
	local, err := n.localLane(c)
	if err != nil {
		return err
	}
	n.queue = queue.New(queue.Options{
		DB: n.db, Journal: n.blobs, Ledger: n.store, Reporter: n.reporter, Now: n.opt.Now, Log: n.log.Logger, Event: n.delivered, Route: n.routeOf,
		Removed: func(id queueid.ID) { n.events.Emit(obs.Removed{ID: id}) },
		Retry:   retry(c),
		Resolve: n.resolve,
		Policy:  n.sites.Load().policy,
		Site:    n.mta.Site,
		Window:  c.Queue.Window,
		Lanes: map[flow.Transport]queue.Lane{
			flow.Mailbox: {Agent: &mda.Agent{Store: n.store, Now: n.opt.Now}, Workers: mailboxWorkers, Batch: mailboxBatch, Pace: mailboxPace},
			flow.SMTP:    {Agent: &suppressor.Agent{Next: n.mta, List: n.suppression, Now: n.opt.Now, Log: n.log.Logger}, Workers: c.MTA.Concurrency, Batch: 1},
			flow.LMTP:    {Agent: n.mta, Workers: c.MTA.ConcurrencyPerDestination, Batch: 1},
			flow.Pipe:    local,
			flow.File:    local,
			flow.Program: n.programLane(filepath.Join(c.DataDir, "lda")),
		},
	})
	return nil
}

// addressBook is the directory as routing asks it.
type addressBook struct{ directory *directory.Directory }

// Lookup implements route.Directory.
func (b addressBook) Lookup(ctx context.Context, a address.Address) ([]route.Target, bool, error) {
	r, err := b.directory.Resolve(ctx, a)
	if err != nil || !r.Ours {
		return nil, r.Ours, err
	}
	targets := make([]route.Target, len(r.Targets))
	for i, t := range r.Targets {
		targets[i] = route.Target{Account: t.Account, Address: t.Address, Extension: t.Extension}
	}
	return targets, true, nil
}

// Domain implements route.Directory.
func (b addressBook) Domain(ctx context.Context, domain string) (tenant int64, ours bool, err error) {
	return b.directory.Tenant(ctx, domain)
}

// routeOf is the route key of a recipient: with a smart host or relayhost all that leaves shares its limits; so does what one
// user's commands and files do.
func (n *Node) routeOf(r *flow.Recipient) string {
	if r.Transport == flow.SMTP && r.NextHop == "" {
		c := n.config.Load()
		if h := c.MTA.SmartHost; h.Host != "" {
			return net.JoinHostPort(strings.Trim(h.Host, "[]"), strconv.Itoa(h.Port))
		}
		if c.Routing.Relayhost != "" {
			return c.Routing.Relayhost
		}
	}
	if r.Transport == flow.Pipe || r.Transport == flow.File {
		if l, ok := aliasing.ParseLocal(r.NextHop); ok {
			return lineOf(l)
		}
	}
	return queue.RouteOf(r)
}

// mxConfig is the engine's configuration for port 25, or for LMTP.
func (n *Node) mxConfig(c *config.Config, service string, tlsConfig *tls.Config) *smtp.Config {
	agent := &mx.Agent{
		Settings: mx.Settings{Hostname: c.Hostname, Service: service, MaxReceived: c.SMTP.MaxReceived, Router: n.router(),
			SoftBounce: c.Access.SoftBounce, Filtered: service == "reinject"},
		Intake: n.intake, Admission: &admission{n.queue, n.incoming, reserveOf(c)}, Quota: quota{n.store},
		Gate: n.gates(c, service), Proxy: n.proxyFilter(c, service), Filter: filter.Accept{}, Script: sieve.Keep{}, IDs: n.ids, Now: n.opt.Now, Events: n.events, Log: n.log.Logger,
		Traced: c.Trace.Enabled,
	}
	e := n.smtpConfig(c, agent, tlsConfig)
	e.Register = senders{n, service}
	e.LMTP = service == "lmtp"
	e.Offers = smtp.Offers{RequireTLS: service == "smtp", VERP: c.Notices.VERPClients.Contains}
	n.screenConnections(c, service, e)
	return e
}

// msaConfig is the engine's configuration for a submission port.
func (n *Node) msaConfig(c *config.Config, service string, tlsConfig *tls.Config) *smtp.Config {
	agent := &msa.Agent{
		Settings: msa.Settings{Hostname: c.Hostname, Service: service, Trusted: c.Submission.TrustedNetworks.Contains,
			Ownership: c.Submission.RequireSenderOwnership, MaxReceived: c.SMTP.MaxReceived, Router: n.router(),
			SoftBounce: c.Access.SoftBounce},
		Intake: n.intake, Admission: &admission{n.queue, n.incoming, reserveOf(c)}, Quota: quota{n.store}, Senders: n.directory,
		Gate: n.gates(c, service), Proxy: n.proxyFilter(c, service), Filter: filter.Accept{}, Script: sieve.Keep{}, IDs: n.ids, Now: n.opt.Now, Events: n.events, Log: n.log.Logger,
		Traced: c.Trace.Enabled,
	}
	e := n.smtpConfig(c, agent, tlsConfig)
	e.Register = senders{n, service}
	e.Auth = n.saslServer(service)
	e.Login = n.loginTold
	// Who has logged in is trusted with when and how soon; strangers are not (RFC 4865 §3, RFC 6710 §5).
	e.Offers = smtp.Offers{FutureRelease: c.Submission.FutureReleaseMax.D(), DeliverBy: true, Priority: true, RequireTLS: true,
		VERP: c.Notices.VERPClients.Contains}
	e.RequireAuth = func(p *smtp.Peer) error {
		if c.Submission.TrustedNetworks.Contains(p.Remote.Addr().Unmap()) {
			return nil
		}
		if p.TLS == nil {
			return smtp.ErrNeedTLS
		}
		return errAuthRequired
	}
	return e
}

// errAuthRequired names the setting that would let a client in without AUTH.
var errAuthRequired = status.Perm(530, 7, 0, "Authentication required (without AUTH only clients in submission.trusted_networks may send)")

func (n *Node) smtpConfig(c *config.Config, backend smtp.Backend, tlsConfig *tls.Config) *smtp.Config {
	return &smtp.Config{
		Hostname: c.Hostname, Banner: "ESMTP Postrider", Backend: backend, TLS: tlsConfig, Log: n.log.Logger, Shared: n.shared,
		Begin:       n.beginMessage,
		XClient:     func(a netip.Addr) bool { return c.Edges.XclientHosts.Contains(a) },
		XForward:    func(a netip.Addr) bool { return c.Edges.XforwardHosts.Contains(a) },
		LaxNewlines: func(a netip.Addr) bool { return c.SMTP.BareNewlineNetworks.Contains(a.Unmap()) },
		Limits: smtp.Limits{Connections: c.SMTP.MaxConnections, PerAddress: c.SMTP.MaxConnectionsPerAddress,
			MessageSize: int64(c.SMTP.MaxMessageSize), Recipients: c.SMTP.MaxRecipients, Messages: c.SMTP.MaxTransactions, Errors: c.SMTP.MaxErrors},
		Timeouts: smtp.Timeouts{Command: c.SMTP.CommandTimeout.D(), Block: c.SMTP.DataTimeout.D(), Transaction: c.SMTP.TransactionTimeout.D()},
	}
}

// imapAgent shows the mailstore to the IMAP engine.
func (n *Node) imapAgent() *imapd.Agent {
	return &imapd.Agent{Store: n.store, Intake: n.intake, IDs: n.ids, Now: n.opt.Now, Log: n.log.Logger}
}

func (n *Node) imapConfig(c *config.Config) imap.Config {
	return imap.Config{
		Hostname: c.Hostname, TLS: n.certs.TLSConfig(certs.Login), SASL: n.saslServer(""), Observer: readers{n}, Shared: n.shared,
		MaxMessage: int64(c.IMAP.MaxAppendSize), MaxConns: c.IMAP.MaxConnections, MaxConnsPerIP: c.IMAP.MaxConnectionsPerAddress,
		MaxLine: int(c.IMAP.MaxCommandSize), MaxErrors: c.IMAP.MaxErrors,
		LoginTimeout: c.IMAP.LoginTimeout.D(), IdleTimeout: c.IMAP.IdleTimeout.D(),
		ID:    []string{"name", "Postrider", "version", n.opt.Version},
		Begin: n.beginMessage,
	}
}
