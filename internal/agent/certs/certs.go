// Package certs decides which certificate a TLS client is shown, and sees to it that there is one: from files, which are
// read again when they change, or by ACME (RFC 8555) through certmagic, with the challenges tls-alpn-01 (RFC 8737),
// http-01, and dns-01 by dynamic update (RFC 2136). It also says how client certificates are verified, and which versions
// and ciphers of TLS are spoken (RFC 9325).
//
// The choice, by the name that the client asks for (SNI, RFC 6066 §3): a file's certificate for that name, then one for
// the wildcard above it, then ACME's; among several the client's abilities decide, then validity, then the cheaper key.
// Without a name, or with one that nobody knows, the default: that of tls.cert, else ACME's first, else the first of
// tls.certificates, else the self-signed one.
//
// Service goes on whatever happens to a certificate: a file that turns bad leaves the last good pair in use and is logged
// once; an authority that refuses is tried again, and until it relents the default is shown. Only what an operator names
// for the first time, at start or by a reload, must be readable and whole, and Load's error says what is to be done; even
// then an expired certificate is a loud warning and no more.
//
// It never writes files, never uses certmagic's shared defaults, and knows no protocol of mail.
//
//	certs.go    Manager, Settings; what is in force
//	pair.go     a certificate and its key from PEM; what is wrong with them
//	load.go     all files of a configuration
//	choose.go   which certificate is shown
//	watch.go    files that change
//	status.go   what operators see
//	acme.go     certmagic's side: obtaining, renewing, answering challenges
//	dns01.go    the records of dns-01
//	zap.go      certmagic's log in ours
package certs

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

// Source names the files of one certificate.
type Source struct {
	Cert string // PEM: the certificate, then its intermediates
	Key  string // PEM: its key; "": it stands in Cert too
}

// String is the form of the configuration.
func (s Source) String() string {
	if s.Key == "" {
		return s.Cert
	}
	return s.Cert + " " + s.Key
}

// Settings are what a configuration says.
type Settings struct {
	Hostname   string
	Default    Source   // tls.cert and tls.key; zero: none
	More       []Source // tls.certificates
	Fallback   Source   // the self-signed one
	ClientCA   string   // PEM file; "": no client certificate is asked for
	MinVersion uint16
	ACME       *ACME // nil: not enabled
}

// ACME are the settings of [tls.acme].
type ACME struct {
	Email, Directory, CA string
	Names, Challenges    []string
	HTTPPort             int
	TLSALPNPort          int
	DNS                  DNS
}

// DNS are the settings of [tls.acme.dns].
type DNS struct {
	Server, Zone                         string
	KeyName, KeySecretFile, KeyAlgorithm string
	TTL, Wait                            time.Duration
}

// Options of a Manager.
type Options struct {
	// ReadFile reads a file that a configuration names, also one that only root may read. nil: os.ReadFile.
	ReadFile func(ctx context.Context, name string) ([]byte, error)
	// Storage keeps what ACME must remember; nil: ACME cannot be enabled.
	Storage certmagic.Storage
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: discarded
	// RenewCheck is how often ACME's certificates are looked at; 0: certmagic's 10 minutes.
	RenewCheck time.Duration
}

// Manager shows certificates. Its methods are safe for concurrent use.
type Manager struct {
	opt     Options
	outer   [kinds]*tls.Config
	current atomic.Pointer[Loaded] // never nil after the first Use
	acme    atomic.Pointer[acme]   // nil: not enabled

	mu      sync.Mutex // one Use, Start, Close or look of the watcher at a time
	started bool
	stop    context.CancelFunc
	group   sync.WaitGroup
}

// New makes a Manager that has nothing to show yet: Load and Use come next, then Start.
func New(o Options) *Manager {
	if o.ReadFile == nil {
		o.ReadFile = func(_ context.Context, name string) ([]byte, error) { return os.ReadFile(name) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{opt: o}
	for k := range kinds {
		m.outer[k] = m.base(k, tls.VersionTLS12)
		// Tickets stay valid over a change of certificates: their keys belong to this configuration.
		m.outer[k].GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return m.inForce(k) }
	}
	return m
}

func (m *Manager) inForce(k Kind) (*tls.Config, error) {
	if l := m.current.Load(); l != nil {
		return l.configs[k], nil
	}
	return nil, errNothing
}

// Use puts what Load has read in force, for handshakes from now on, and logs its warnings.
func (m *Manager) Use(l *Loaded) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range l.problems {
		m.opt.Log.Warn("certificate", "problem", p.Text)
	}
	m.current.Store(l)
	if m.started {
		m.useACME(l)
	}
}

// Start loads what ACME has obtained before, and begins to obtain what is missing and to watch the files. The listeners
// that answer challenges should be open.
func (m *Manager) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	m.started, m.stop = true, cancel
	m.useACME(m.current.Load())
	m.group.Go(func() { m.watch(ctx) })
}

// useACME begins, ends or replaces the work with the authority. A reload with the same settings leaves it alone, unless a
// certificate is missing: then it tries at once.
func (m *Manager) useACME(l *Loaded) {
	old := m.acme.Load()
	if old != nil && l.settings.ACME != nil && reflect.DeepEqual(old.settings, l.acme.settings) &&
		reflect.DeepEqual(old.names, l.acme.names) && old.complete() {
		return
	}
	var fresh *acme
	if l.settings.ACME != nil {
		fresh = m.newACME(l.acme)
		fresh.load()
	}
	m.acme.Store(fresh)
	if old != nil {
		old.close()
	}
	if fresh != nil {
		fresh.start()
	}
}

// Close ends all work. Handshakes still get certificates.
func (m *Manager) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.started {
		return
	}
	m.started = false
	m.stop()
	if a := m.acme.Load(); a != nil {
		a.close()
	}
	m.group.Wait()
}

// Kind is what a listener uses TLS for.
type Kind int

// The kinds.
const (
	Mail  Kind = iota // between servers: nobody logs in
	Login             // users log in, perhaps by a certificate
	Web               // HTTPS, which also answers tls-alpn-01
	kinds
)

// TLSConfig is the configuration of a listener, always the same one. It follows what is in force: it need not be replaced
// after a reload.
func (m *Manager) TLSConfig(k Kind) *tls.Config { return m.outer[k] }

// base is what all versions of a configuration share. The curves are Go's own: X25519MLKEM768 first.
func (m *Manager) base(k Kind, minVersion uint16) *tls.Config {
	c := &tls.Config{MinVersion: minVersion, CipherSuites: suites(), GetCertificate: m.getCertificate}
	if k == Web {
		c.NextProtos = []string{"h2", "http/1.1", alpnChallenge}
		c.GetCertificate = m.getWebCertificate
	}
	return c
}

// suites are those of TLS 1.2: forward secrecy and authenticated encryption, RFC 9325 §4.2. TLS 1.3 has its own.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// HTTPChallenge answers the authority's requests of http-01 and gives all others to next.
func (m *Manager) HTTPChallenge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a := m.acme.Load(); a != nil && a.issuer.HandleHTTPChallenge(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}
