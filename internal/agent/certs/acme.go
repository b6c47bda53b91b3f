package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// The challenges, RFC 8555 §8 and RFC 8737.
const (
	challengeHTTP = "http-01"
	challengeALPN = "tls-alpn-01"
	challengeDNS  = "dns-01"
)

const (
	// obtainTimeout bounds the waiting for one validation.
	obtainTimeout = 90 * time.Second
	// giveUpWait is how long we rest when certmagic has given up, after a month of tries, or could not use its storage.
	giveUpWait = time.Hour
	// stopWait is how long the end waits for what is under way, such as taking back a challenge. certmagic's maintenance
	// cannot be called off while it asks the authority, which may take minutes to say nothing.
	stopWait = 2 * time.Second
)

var errEnded = errors.New("the work with the authority has ended")

// acme is the work with an authority under one configuration.
type acme struct {
	*acmeSettings
	log    *slog.Logger
	cache  *certmagic.Cache
	magic  atomic.Pointer[certmagic.Config]
	issuer *certmagic.ACMEIssuer

	ended atomic.Bool // the authority is not asked any more
	stop  context.CancelFunc
	group sync.WaitGroup

	mu     sync.Mutex        // guards all below
	reason map[string]string // by name: why the last try failed
}

// newACME makes a certmagic of its own: nothing of it is shared with another Manager, but for what certmagic keeps for
// the whole process (challenges under way by name, and pacing).
func (m *Manager) newACME(s *acmeSettings) *acme {
	a := &acme{acmeSettings: s, log: m.opt.Log.With("component", "acme"), reason: map[string]string{}}
	zl := zap.New(&core{log: a.log})
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return a.config(), nil },
		RenewCheckInterval: m.opt.RenewCheck,
		Logger:             zl,
	})
	magic := certmagic.New(a.cache, certmagic.Config{
		Storage: m.opt.Storage, Logger: zl, OnEvent: a.event,
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		// Authorities end OCSP (Let's Encrypt did in 2025), and mail clients do not ask for it.
		OCSP:               certmagic.OCSPConfig{DisableStapling: true},
		RenewalWindowRatio: certmagic.DefaultRenewalWindowRatio,
	})
	template := certmagic.ACMEIssuer{
		CA: s.settings.Directory, Email: s.settings.Email, Agreed: true, TrustedRoots: s.roots, Logger: zl,
		DisableHTTPChallenge:    !slices.Contains(s.settings.Challenges, challengeHTTP),
		DisableTLSALPNChallenge: !slices.Contains(s.settings.Challenges, challengeALPN),
		// Where one of our listeners has the port, certmagic finds it taken and leaves the answer to that listener.
		AltHTTPPort: s.settings.HTTPPort, AltTLSALPNPort: s.settings.TLSALPNPort,
		CertObtainTimeout: obtainTimeout,
		HTTPProxy: func(r *http.Request) (*url.URL, error) {
			if a.ended.Load() {
				return nil, errEnded
			}
			return http.ProxyFromEnvironment(r)
		},
	}
	if s.updater != nil {
		template.DNS01Solver = &dns01{updater: s.updater, ttl: s.settings.DNS.TTL, wait: s.settings.DNS.Wait}
	}
	a.issuer = certmagic.NewACMEIssuer(magic, template)
	magic.Issuers = []certmagic.Issuer{a.issuer}
	a.magic.Store(magic)
	return a
}

func (a *acme) config() *certmagic.Config { return a.magic.Load() }

// load takes what was obtained before from the storage. It asks no network.
func (a *acme) load() {
	for _, name := range a.names {
		if _, err := a.config().CacheManagedCertificate(context.Background(), name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.log.Error("a certificate obtained before cannot be used", "name", name, "err", err)
		}
	}
}

// start begins to obtain what is missing. What is there is renewed in time by certmagic's maintenance.
func (a *acme) start() {
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	for _, name := range a.names {
		a.group.Go(func() { a.manage(ctx, name) })
	}
}

// close ends the work. What does not end within stopWait is left behind: each of its next steps fails.
func (a *acme) close() {
	a.ended.Store(true)
	a.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.group.Wait()
		a.cache.Stop()
	}()
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		a.log.Warn("the authority still owes an answer, which is not waited for", "authority", a.settings.Directory)
	}
}

// manage sees to it that there is a certificate for name.
func (a *acme) manage(ctx context.Context, name string) {
	for ctx.Err() == nil {
		err := a.obtain(ctx, name)
		if err == nil || ctx.Err() != nil {
			return
		}
		a.failed(name, err)
		a.log.Error("no certificate could be obtained; what is there is shown until then", "name", name, "err", err)
		timer := time.NewTimer(giveUpWait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// obtain returns when there is a certificate for name that need not be renewed yet: certmagic tries again and again, with
// growing pauses, for a month.
func (a *acme) obtain(ctx context.Context, name string) error {
	var err error
	if len(a.certificates(name)) == 0 {
		err = a.config().ObtainCertAsync(ctx, name)
	} else {
		err = a.config().RenewCertAsync(ctx, name, false)
	}
	if err != nil {
		return err
	}
	_, err = a.config().CacheManagedCertificate(ctx, name)
	return err
}

// complete tells whether there is a certificate for each name.
func (a *acme) complete() bool {
	return !slices.ContainsFunc(a.names, func(name string) bool { return len(a.certificates(name)) == 0 })
}

// certificates are those for a name, or a wildcard above it.
func (a *acme) certificates(name string) (list []*tls.Certificate) {
	for _, c := range a.cache.AllMatchingCertificates(name) {
		list = append(list, &c.Certificate)
	}
	return list
}

func (a *acme) failed(name string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reason[name] = err.Error()
}

// event hears from certmagic.
func (a *acme) event(_ context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	switch event {
	case "cert_failed":
		err, _ := data["error"].(error)
		if err != nil {
			a.failed(name, err)
		}
	case "cert_obtained":
		a.mu.Lock()
		delete(a.reason, name)
		a.mu.Unlock()
		renewal, _ := data["renewal"].(bool)
		a.log.Info("certificate obtained", "name", name, "renewal", renewal, "authority", data["issuer"])
	}
	return nil
}

// status lists the names with what there is for them.
func (a *acme) status() (list []Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range a.names {
		s := Status{Names: []string{name}, From: "acme", Problem: a.reason[name]}
		for _, c := range a.certificates(name) {
			if c.Leaf.NotAfter.After(s.NotAfter) {
				s.NotBefore, s.NotAfter = c.Leaf.NotBefore, c.Leaf.NotAfter
			}
		}
		if s.NotAfter.IsZero() && s.Problem == "" {
			s.Problem = "not obtained yet"
		}
		list = append(list, s)
	}
	return list
}
