package certs_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/agent/certs"
)

// authority signs the certificates of a test.
type authority struct {
	key  crypto.Signer
	cert *x509.Certificate
	pool *x509.CertPool
	next int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: ecKey(t), next: 1}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool = x509.NewCertPool()
	a.pool.AddCert(a.cert)
	return a
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// leaf is what a certificate is made of; zero times mean valid for long.
type leaf struct {
	names, emails []string
	cn            string
	from, until   time.Time
	key           crypto.Signer
}

// issue returns certificate and key in PEM.
func (a *authority) issue(t *testing.T, l leaf) (cert, key []byte) {
	t.Helper()
	if l.key == nil {
		l.key = ecKey(t)
	}
	if l.from.IsZero() {
		l.from = time.Unix(0, 0)
	}
	if l.until.IsZero() {
		l.until = time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	a.next++
	template := &x509.Certificate{SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: l.cn}, NotBefore: l.from, NotAfter: l.until,
		DNSNames: l.names, EmailAddresses: l.emails, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, l.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(l.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// files writes a new certificate and its key, and names them.
func (a *authority) files(t *testing.T, dir, name string, l leaf) certs.Source {
	t.Helper()
	cert, key := a.issue(t, l)
	s := certs.Source{Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key")}
	write(t, s.Cert, cert)
	write(t, s.Key, key)
	return s
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// logged collects a log.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// using makes a Manager that has settings in force.
func using(t *testing.T, o certs.Options, s certs.Settings) *certs.Manager {
	t.Helper()
	m := certs.New(o)
	l, err := m.Load(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	m.Use(l)
	return m
}

// connected are both ends of a connection with buffers: over a pipe without, two ends that send alerts block each other.
func connected(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if b, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if a, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// shake does a handshake and returns both sides' view.
func shake(t *testing.T, server, client *tls.Config) (ofServer, ofClient tls.ConnectionState, err error) {
	t.Helper()
	a, b := connected(t)
	defer a.Close()
	defer b.Close()
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		err := s.HandshakeContext(t.Context())
		if err == nil {
			_, err = s.Write([]byte("x")) // TLS 1.3: what the server thinks of a client's certificate
		}
		if err != nil {
			a.Close()
		}
		done <- err
	}()
	err = c.HandshakeContext(t.Context())
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	if err != nil {
		b.Close()
	}
	return s.ConnectionState(), c.ConnectionState(), errors.Join(err, <-done)
}

// shown is the first name, or the common name, of the certificate that a client sees.
func shown(t *testing.T, m *certs.Manager, client *tls.Config) string {
	t.Helper()
	client.InsecureSkipVerify = true
	_, state, err := shake(t, m.TLSConfig(certs.Mail), client)
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}
