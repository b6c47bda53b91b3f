package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
)

// clients is an authority for client certificates.
type clients struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // PEM
}

func newClients(t *testing.T) *clients {
	t.Helper()
	c := &clients{}
	c.cert, c.key = c.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Our users"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign})
	c.file = writeFile(t, "clients.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})))
	return c
}

// sign makes a key, and its certificate: by the authority, or by itself where there is none yet.
func (c *clients) sign(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	issuer, by := c.cert, c.key
	if issuer == nil {
		issuer, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// user writes a user's certificate with its key into one file.
func (c *clients) user(t *testing.T, address string) string {
	t.Helper()
	cert, key := c.sign(t, &x509.Certificate{EmailAddresses: []string{address}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "user.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))+
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// TestClientCertificates logs in without a password, by SASL EXTERNAL.
func TestClientCertificates(t *testing.T) {
	authority := newClients(t)
	s := system.Start(t, system.Options{Set: []string{fmt.Sprintf("tls.client_ca=%q", authority.file)}})
	alice := authority.user(t, s.Alice.Address)

	// Sending and reading by curl. It says the user's name as authorization identity.
	by := func(cert, user string, args ...string) []string {
		return append([]string{"--silent", "--show-error", "--max-time", "60", "--cacert", s.CA, "--cert", cert, "--user", user + ":", "--login-options", "AUTH=EXTERNAL"}, args...)
	}
	message := writeFile(t, "message", strings.Replace(curlMessage, "Far <far@far.example>", s.Alice.Address, 1))
	curl(t, 0, by(alice, s.Alice.Address, "--ssl-reqd", "--mail-from", s.Alice.Address, "--mail-rcpt", s.Alice.Address, "--upload-file", message,
		"smtps://localhost:"+s.Port(t, "submissions"))...)
	s.Await(t, s.Alice, "INBOX", 1)
	contains(t, curl(t, 0, by(alice, s.Alice.Address, "imaps://localhost:"+s.Port(t, "imaps")+"/INBOX;MAILINDEX=1")...), "Subject: by curl")
	contains(t, curl(t, 0, by(alice, s.Alice.Address, "pop3s://localhost:"+s.Port(t, "pop3s")+"/1")...), "Subject: by curl")

	// Another's name, an account that does not exist, no certificate: curl's 67 is a refused login.
	imaps := "imaps://localhost:" + s.Port(t, "imaps") + "/INBOX"
	curl(t, 67, by(alice, s.Bob.Address, imaps)...)
	curl(t, 67, by(authority.user(t, "eve@"+s.Domain), "eve@"+s.Domain, imaps)...)
	curl(t, 67, "--silent", "--max-time", "60", "--cacert", s.CA, "--user", s.Alice.Address+":", "--login-options", "AUTH=EXTERNAL", imaps)
	// A certificate of an authority that nobody trusts here ends the handshake.
	r := system.Run(t, system.Command{Name: "curl", AnyCode: true, Args: by(newClients(t).user(t, s.Alice.Address), s.Alice.Address, imaps)})
	if r.Code == 0 || !strings.Contains(r.All(), "alert") {
		t.Errorf("a stranger's certificate: code %d, %s", r.Code, r.All())
	}

	// What is offered, and to whom, as openssl shows it. Between servers nobody is asked for a certificate.
	offered := func(service string, args ...string) string {
		base := []string{"s_client", "-quiet", "-connect", "localhost:" + s.Port(t, service), "-CAfile", s.CA, "-starttls", "smtp"}
		return system.Run(t, system.Command{Name: "openssl", Args: append(base, args...), Stdin: strings.NewReader("EHLO x.test\r\nQUIT\r\n"), AnyCode: true}).All()
	}
	contains(t, offered("submission", "-cert", alice), "AUTH EXTERNAL SCRAM-SHA-256")
	if out := offered("submission"); strings.Contains(out, "EXTERNAL") || !strings.Contains(out, "AUTH SCRAM-SHA-256") {
		t.Errorf("without a certificate:\n%s", out)
	}
	if out := offered("smtp", "-cert", filepath.Clean(alice)); strings.Contains(out, "AUTH") {
		t.Errorf("on port 25:\n%s", out)
	}
}
