package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/dovecotauth"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/link"
	"github.com/postrider/postrider/internal/wire/pop3"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// services are the listeners and the engines behind them.
type services struct {
	node *Node
	smtp map[string]*smtp.Server // smtp, submission, submissions, lmtp
	imap *imap.Server            // imap and imaps
	pop3 *pop3.Server            // pop3 and pop3s
	auth *dovecotauth.Server     // auth, and edges.auth_socket
	web  *web                    // http, https, and metrics.listen

	listeners []listener
	ctx       context.Context // ends when accepting ends
	cancel    context.CancelFunc
	group     sync.WaitGroup
	ended     atomic.Pointer[string] // a service whose listener ended by itself
}

type listener struct {
	service string
	net.Listener
}

// newServices makes the engines by a configuration.
func (n *Node) newServices(c *config.Config) (*services, error) {
	certificates, err := n.loadCertificates(context.Background(), c)
	if err != nil {
		return nil, err
	}
	out, err := n.prepare(c)
	if err != nil {
		return nil, err
	}
	n.apply(out)
	n.certs.Use(certificates)
	s := &services{node: n, smtp: map[string]*smtp.Server{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for service, e := range n.smtpConfigs(c) {
		s.smtp[service] = smtp.NewServer(e)
	}
	s.imap = imap.New(n.imapAgent(), n.log.Logger.With(obs.KeyComponent, "imap"), n.imapConfig(c))
	s.pop3 = n.newPOP3(c, n.certs.TLSConfig(certs.Login))
	s.auth = dovecotauth.New(n.authConfig(c))
	s.web = n.newWeb(n.certs.TLSConfig(certs.Web), n.certs.HTTPChallenge)
	return s, nil
}

// prepare makes of a configuration what judges, routes and sends; whatever can be wrong with it is found here. apply puts it in
// force.
func (n *Node) prepare(c *config.Config) (*outgoing, error) {
	if err := errors.Join(openTables(n.tables, c), joined(checkFilters(c))); err != nil {
		return nil, err
	}
	return n.newOutgoing(c)
}

func (n *Node) smtpConfigs(c *config.Config) map[string]*smtp.Config {
	return map[string]*smtp.Config{
		"smtp":        n.mxConfig(c, "smtp", n.certs.TLSConfig(certs.Mail)),
		"lmtp":        n.mxConfig(c, "lmtp", nil),
		"reinject":    n.reinjectConfig(c),
		"submission":  n.msaConfig(c, "submission", n.certs.TLSConfig(certs.Login)),
		"submissions": n.msaConfig(c, "submissions", n.certs.TLSConfig(certs.Login)),
	}
}

// configure puts a new configuration in force. Whatever can fail fails before anything is changed.
func (s *services) configure(c *config.Config) error {
	certificates, err := s.node.loadCertificates(context.Background(), c)
	if err != nil {
		return err
	}
	out, err := s.node.prepare(c)
	if err != nil {
		return err
	}
	s.node.apply(out)
	s.node.certs.Use(certificates)
	for service, e := range s.node.smtpConfigs(c) {
		s.smtp[service].SetConfig(e)
	}
	s.imap.SetConfig(s.node.imapConfig(c))
	s.pop3.SetConfig(s.node.pop3Config(c, s.node.certs.TLSConfig(certs.Login)))
	s.auth.SetConfig(s.node.authConfig(c))
	s.web.setTLS(s.node.certs.TLSConfig(certs.Web))
	s.node.queue.Configure(retry(c))
	s.node.useSites(newSitePolicy(c))
	return nil
}

// listen opens all listeners, or none.
func (s *services) listen(c *config.Config) (err error) {
	defer func() {
		if err != nil {
			for _, l := range s.listeners {
				err = errors.Join(err, l.Close())
			}
			s.listeners = nil
		}
	}()
	for _, l := range listenersOf(c) {
		for _, addr := range l.addresses {
			nl, err := s.node.opt.Listen("tcp", addr)
			if err != nil {
				return fmt.Errorf("listen for %s on %s: %w%s", l.service, addr, err, listenHint(err))
			}
			if l.service != "metrics" {
				nl = link.Guarded(nl, s.node.farewell(l.service))
			}
			if l.proxied {
				nl = link.Proxied(nl, s.node.isProxy)
			}
			s.listeners = append(s.listeners, listener{l.service, nl})
		}
	}
	return s.listenAuth(c)
}

type listenerConfig struct {
	service   string
	addresses []string
	proxied   bool // connections may begin with the PROXY protocol's header
}

// listenersOf lists what a configuration asks for.
func listenersOf(c *config.Config) []listenerConfig {
	var out []listenerConfig
	add := func(service string, l config.Listener) {
		if l.Enabled {
			out = append(out, listenerConfig{service, l.Addresses, l.ProxyProtocol})
		}
	}
	add("smtp", c.Listeners.SMTP)
	add("submission", c.Listeners.Submission)
	add("submissions", c.Listeners.Submissions)
	add("lmtp", c.Listeners.LMTP)
	add("reinject", c.Listeners.Reinject)
	add("imap", c.Listeners.IMAP)
	add("imaps", c.Listeners.IMAPS)
	add("pop3", c.Listeners.POP3)
	add("pop3s", c.Listeners.POP3S)
	add("auth", c.Listeners.Auth)
	add("http", c.Listeners.HTTP)
	add("https", c.Listeners.HTTPS)
	if len(c.Metrics.Listen) > 0 {
		out = append(out, listenerConfig{service: "metrics", addresses: c.Metrics.Listen})
	}
	return out
}

// listenHint names the mend for the two things that usually go wrong.
func listenHint(err error) string {
	switch {
	case strings.Contains(err.Error(), "permission denied"):
		return " (ports below 1024 need CAP_NET_BIND_SERVICE, or choose another address in listeners)"
	case strings.Contains(err.Error(), "address already in use"):
		return " (another mail system is running, or another postrider)"
	}
	return ""
}

// serve begins to accept.
func (s *services) serve() {
	for _, l := range s.listeners {
		s.group.Go(func() {
			err := s.serveOne(l)
			if s.ctx.Err() == nil {
				s.ended.Store(&l.service)
			}
			if err != nil && s.ctx.Err() == nil {
				s.node.log.Error("listener failed", obs.KeyService, l.service, obs.KeyError, err)
			}
		})
	}
}

func (s *services) serveOne(l listener) error {
	switch l.service {
	case "smtp", "submission", "lmtp", "reinject":
		return s.smtp[l.service].Serve(s.ctx, l, smtp.TLSStart)
	case "submissions":
		return s.smtp[l.service].Serve(s.ctx, l, smtp.TLSImplicit)
	case "imap":
		return s.imap.Serve(s.ctx, l, imap.StartTLS)
	case "imaps":
		return s.imap.Serve(s.ctx, l, imap.Implicit)
	case "auth":
		return s.auth.Serve(s.ctx, l)
	case "pop3":
		return s.pop3.Serve(s.ctx, l, pop3.StartTLS)
	case "pop3s":
		return s.pop3.Serve(s.ctx, l, pop3.Implicit)
	}
	return s.web.serve(l.service, l)
}

// shutdown stops accepting and lets sessions end, until ctx does.
func (s *services) shutdown(ctx context.Context) error {
	s.cancel()
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	var group sync.WaitGroup
	for _, e := range s.smtp {
		group.Go(func() { _ = e.Shutdown(ctx) }) // its error says that sessions were cut off, which was asked for
	}
	group.Go(func() { _ = s.imap.Shutdown(ctx) })
	group.Go(func() { _ = s.pop3.Shutdown(ctx) })
	group.Go(func() { _ = s.auth.Shutdown(ctx) })
	group.Go(func() { s.web.shutdown(ctx) })
	group.Wait()
	s.group.Wait()
	return errors.Join(errs...)
}

// addresses are the first address of each service.
func (s *services) addresses() map[string]netip.AddrPort {
	out := map[string]netip.AddrPort{}
	for _, l := range s.listeners {
		if _, have := out[l.service]; have {
			continue
		}
		if a, err := netip.ParseAddrPort(l.Addr().String()); err == nil {
			out[l.service] = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		}
	}
	return out
}
