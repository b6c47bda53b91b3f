package node

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/postrider/postrider/internal/agent/mta"
	"github.com/postrider/postrider/internal/agent/report"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/obs"
)

// outgoing is what a configuration says about mail that leaves and about notifications; apply puts it in force.
type outgoing struct {
	mta    *mta.Settings
	report *report.Settings
	router *route.Router
	access *accessControl

	strangers *strangerPolicy
}

// newOutgoing reads what a configuration names. Nothing is changed yet.
func (n *Node) newOutgoing(c *config.Config) (*outgoing, error) {
	roots, err := authorities(c.TLS.CA)
	if err != nil {
		return nil, err
	}
	password := []byte(nil)
	if file := c.MTA.SmartHost.PasswordFile; file != "" {
		if password, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("mta.smart_host.password_file: %w", err)
		}
	}
	resolver := dns.New(dns.Options{Servers: c.DNS.Resolvers, Timeout: c.DNS.Timeout.D(), Attempts: c.DNS.Attempts,
		CacheEntries: c.DNS.CacheEntries, MaxTTL: c.DNS.CacheMaxTTL.D(), Now: n.opt.Now})
	router, err := n.newRouter(c)
	if err != nil {
		return nil, err
	}
	control, err := n.newAccess(c, router, resolver)
	if err != nil {
		return nil, err
	}
	strangers, err := n.newStrangerPolicy(c, resolver)
	if err != nil {
		return nil, err
	}
	settings := mta.NewSettings(c, resolver, string(password), roots)
	if len(router.Rules.GenericMaps) > 0 {
		settings.Generic = router.Generic
	}
	settings.Checks = n.outgoingChecks(c)
	if err := deliveryTables(settings, c, n.tables); err != nil {
		return nil, err
	}
	return &outgoing{mta: settings,
		report: reportSettings(c, router), router: router, access: control, strangers: strangers}, nil
}

func (n *Node) apply(o *outgoing) {
	n.routing.Store(o.router)
	n.access.Store(o.access)
	n.mta.Set(o.mta)
	n.reporter.Set(o.report)
	n.applyStrangers(o.strangers)
}

// authorities are those of the system and of a file; nil, which means the system's, without a file.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tls.ca: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's certificate authorities: %w", err)
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New("tls.ca: " + file + " holds no certificate in PEM form")
	}
	return roots, nil
}

// own tells whether we take mail from the internet at an address and port (RFC 5321 §5.1). It is asked once the listeners
// are open.
func (n *Node) own(to netip.AddrPort) bool {
	if n.services == nil {
		return false
	}
	for _, l := range n.services.listeners {
		at, err := netip.ParseAddrPort(l.Addr().String())
		if l.service != "smtp" || err != nil || at.Port() != to.Port() {
			continue
		}
		addr := at.Addr().Unmap().WithZone("")
		if addr == to.Addr() || addr.IsUnspecified() && n.local(to.Addr()) {
			return true
		}
	}
	return false
}

// local tells whether an address is this host's.
func (n *Node) local(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		n.log.Error("the addresses of this host cannot be listed", obs.KeyError, err)
		return false // a loop ends at the limit of Received fields
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == ip.WithZone("") {
			return true
		}
	}
	return false
}
