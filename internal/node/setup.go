package node

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/web/setup"
)

// notOffered is the word of the keys in [setup] for a service that clients are not told of.
const notOffered = "none"

// offer is what clients are told: what [setup] says, else the listeners.
func (n *Node) offer() setup.Offer {
	c := n.config.Load()
	o := setup.Offer{Name: c.Setup.Name, Host: c.Hostname}
	for _, s := range []struct {
		name, said string
		service    setup.Service
	}{
		{"imaps", c.Setup.IMAPS, setup.Service{Protocol: setup.IMAP, Implicit: true}},
		{"imap", c.Setup.IMAP, setup.Service{Protocol: setup.IMAP}},
		{"pop3s", c.Setup.POP3S, setup.Service{Protocol: setup.POP3, Implicit: true}},
		{"pop3", c.Setup.POP3, setup.Service{Protocol: setup.POP3}},
		{"submissions", c.Setup.Submissions, setup.Service{Protocol: setup.SMTP, Implicit: true}},
		{"submission", c.Setup.Submission, setup.Service{Protocol: setup.SMTP}},
	} {
		var ok bool
		if s.service.Host, s.service.Port, ok = n.place(c, s.name, s.said); ok {
			o.Services = append(o.Services, s.service)
		}
	}
	setup.Sort(o.Services)
	o.URL = n.pagesURL(c)
	return o
}

// pagesURL is where clients reach the pages; "" if they do not.
func (n *Node) pagesURL(c *config.Config) string {
	if !c.Setup.Enabled || c.Setup.URL != "" {
		if !c.Setup.Enabled {
			return ""
		}
		return c.Setup.URL
	}
	for _, s := range []struct {
		name string
		port int // that a URL leaves out
	}{{"https", 443}, {"http", 80}} {
		if host, port, ok := n.place(c, s.name, ""); ok {
			if port != s.port {
				host = net.JoinHostPort(host, strconv.Itoa(port))
			}
			return s.name + "://" + host
		}
	}
	return ""
}

// place is where clients reach a service: what the configuration says about it, else its listener's port under the host's
// name. A service that listens on loopback alone is reached as localhost, which our own certificates name.
func (n *Node) place(c *config.Config, service, said string) (host string, port int, ok bool) {
	if said == notOffered {
		return "", 0, false
	}
	if said != "" {
		host, text, err := net.SplitHostPort(said)
		port, numErr := strconv.Atoi(text)
		return host, port, errors.Join(err, numErr) == nil
	}
	listeners := listenersOf(c)
	i := slices.IndexFunc(listeners, func(l listenerConfig) bool { return l.service == service && len(l.addresses) > 0 })
	if i < 0 {
		return "", 0, false
	}
	host, chosen := "localhost", listeners[i].addresses[0]
	for _, a := range listeners[i].addresses {
		if !loopbackOnly(a) {
			host, chosen = c.Hostname, a
			break
		}
	}
	_, text, err := net.SplitHostPort(chosen)
	if err != nil {
		return "", 0, false
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0, false
	}
	if port == 0 { // the system's choice
		port = int(n.Addresses()[service].Port())
	}
	return host, port, port != 0
}

// loopbackOnly tells whether a listener's address is reached from this host alone.
func loopbackOnly(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// setupHandler makes what clients get; certificate returns what https shows under a name.
func (n *Node) setupHandler(certificate func(host string) *tls.Certificate) *setup.Handler {
	return &setup.Handler{Ours: n.directory.Ours, Offer: n.offer, Certificate: certificate, Now: n.opt.Now,
		Log: n.log.Logger.With(obs.KeyComponent, "setup")}
}

// setupPages serves client set-up while it is enabled.
func (w *web) setupPages() http.Handler {
	pages := w.node.setupHandler(w.certificate)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !w.node.config.Load().Setup.Enabled || !setup.Handles(r.URL.Path) {
			http.NotFound(rw, r)
			return
		}
		pages.ServeHTTP(rw, r)
	})
}

// certificate is the one that https shows under a name; nil: none.
func (w *web) certificate(host string) *tls.Certificate {
	if !w.node.config.Load().Listeners.HTTPS.Enabled {
		return nil
	}
	c := w.tls.Load()
	if c.GetConfigForClient != nil {
		if now, err := c.GetConfigForClient(&tls.ClientHelloInfo{ServerName: host}); err == nil && now != nil {
			c = now
		}
	}
	hello := &tls.ClientHelloInfo{ServerName: host, SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256}}
	if c.GetCertificate != nil {
		if cert, err := c.GetCertificate(hello); err == nil && cert != nil {
			return cert
		}
	}
	for i := range c.Certificates {
		if hello.SupportsCertificate(&c.Certificates[i]) == nil {
			return &c.Certificates[i]
		}
	}
	return nil
}

// Setup tells how the clients of an account are set up.
func (a *api) Setup(ctx context.Context, addr string) (admin.Setup, error) {
	acc, err := a.Account(ctx, addr)
	if err != nil {
		return admin.Setup{}, err
	}
	user, err := parseAddress(acc.Address)
	if err != nil {
		return admin.Setup{}, err
	}
	o := a.offer()
	s := admin.Setup{Address: acc.Address, User: user.String(), ProfileURL: o.ProfileURL(user.String()), PageURL: o.PageURL(user.String()),
		Services: []admin.SetupService{}, Records: []string{}}
	for _, v := range o.Services {
		s.Services = append(s.Services, admin.SetupService{Protocol: string(v.Protocol), Host: v.Host, Port: v.Port, Security: v.Security()})
	}
	for _, r := range setup.Records(o, user.Domain) {
		s.Records = append(s.Records, r.String())
	}
	certificate := func(string) *tls.Certificate { return nil }
	if a.services != nil {
		certificate = a.services.web.certificate
	}
	if s.Profile, err = a.setupHandler(certificate).Profile(o, setup.Profile{Addresses: []address.Address{user}}); errors.Is(err, setup.ErrNoMail) {
		s.Profile, err = nil, nil
	}
	return s, err
}
