package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/certstore"
)

// openCertificates makes what shows certificates; it shows none before useCertificates.
func (n *Node) openCertificates() {
	n.certStore = certstore.New(certstore.Options{DB: n.db, Now: n.opt.Now})
	n.certs = certs.New(certs.Options{Storage: n.certStore, Now: n.opt.Now, Log: n.log.Logger.With(obs.KeyComponent, "tls"),
		ReadFile: func(ctx context.Context, name string) ([]byte, error) {
			return readCertificate(ctx, n.config.Load(), name)
		}})
	n.metrics.GaugeSet("tls_certificate_expiry_seconds", "Time until the certificate of a name expires; negative: so long ago.", "name", n.certs.Expiry)
}

// closeCertificates ends the work with the authority and lets others do it.
func (n *Node) closeCertificates(ctx context.Context) error {
	n.certs.Close()
	return n.certStore.Close(ctx)
}

// readCertificate reads a file that the configuration names, by the helper where the server may not.
func readCertificate(ctx context.Context, c *config.Config, name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if !errors.Is(err, fs.ErrPermission) || !c.Helper.Enabled {
		return text, err
	}
	return helperOf(c).ReadFile(ctx, name)
}

// loadCertificates reads what a configuration names; nothing is in force yet. Where no file is named the self-signed
// certificate of the data directory is what is shown until there is another, and is made when it is not there.
func (n *Node) loadCertificates(ctx context.Context, c *config.Config) (*certs.Loaded, error) {
	s := certificateSettings(c)
	if s.Fallback.Cert != "" {
		if _, err := os.Stat(s.Fallback.Cert); errors.Is(err, fs.ErrNotExist) {
			if err := MakeCertificates(filepath.Dir(s.Fallback.Cert), c.Hostname, n.opt.Now()); err != nil {
				return nil, fmt.Errorf("make a self-signed certificate: %w", err)
			}
		}
	}
	return n.certs.Load(ctx, s)
}

// CheckCertificates tells what is wrong with the certificates that a configuration names, without using them. warnings
// would not keep the server from starting.
func CheckCertificates(ctx context.Context, c *config.Config) (wrong, warnings []certs.Problem) {
	s := certificateSettings(c)
	s.Fallback = certs.Source{} // made at start
	m := certs.New(certs.Options{Storage: certstore.New(certstore.Options{}), ReadFile: func(ctx context.Context, name string) ([]byte, error) {
		return readCertificate(ctx, c, name)
	}})
	l, err := m.Load(ctx, s)
	if err == nil {
		return nil, l.Problems()
	}
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		p := certs.Problem{Key: "tls", Text: err.Error()}
		if le := (*certs.LoadError)(nil); errors.As(err, &le) {
			p = certs.Problem{Key: le.Key, Text: le.Err.Error()}
		}
		wrong = append(wrong, p)
	}
	return wrong, nil
}

// certificates are what operators see of them.
func (n *Node) certificates() (list []admin.Certificate) {
	for _, c := range n.certs.Status() {
		list = append(list, admin.Certificate{Names: c.Names, From: c.From, Expires: c.NotAfter, Problem: c.Problem})
	}
	return list
}

// certificateSettings are the settings of [tls].
func certificateSettings(c *config.Config) certs.Settings {
	s := certs.Settings{Hostname: c.Hostname, Default: certs.Source{Cert: c.TLS.Cert, Key: c.TLS.Key}, ClientCA: c.TLS.ClientCA, MinVersion: tls.VersionTLS12}
	if c.TLS.MinVersion == "1.3" {
		s.MinVersion = tls.VersionTLS13
	}
	for _, pair := range c.TLS.Certificates {
		cert, key, _ := strings.Cut(pair, " ")
		s.More = append(s.More, certs.Source{Cert: cert, Key: strings.TrimSpace(key)})
	}
	if c.TLS.Cert == "" {
		s.Fallback = certs.Source{Cert: filepath.Join(c.DataDir, "tls", "cert.pem"), Key: filepath.Join(c.DataDir, "tls", "key.pem")}
	}
	if a := c.TLS.ACME; a.Enabled {
		s.ACME = &certs.ACME{Email: a.Email, Directory: a.Directory, CA: a.CA, Names: a.AllNames(c), Challenges: a.Challenges,
			HTTPPort: a.HTTPPort, TLSALPNPort: a.TLSALPNPort,
			DNS: certs.DNS{Server: a.DNS.Server, Zone: a.DNS.Zone, KeyName: a.DNS.KeyName, KeySecretFile: a.DNS.KeySecretFile,
				KeyAlgorithm: a.DNS.KeyAlgorithm, TTL: a.DNS.TTL.D(), Wait: a.DNS.Wait.D()}}
	}
	return s
}
