package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/internal/vfs"
)

const certificateLife = 10 * 365 * 24 * time.Hour

// writtenIn is a time that has passed: a clock that says less is wrong. Hosts without a clock of their own start in 1970.
func writtenIn() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// MakeCertificates makes a certification authority of its own (ca.pem) and a certificate for hostname, localhost and the
// loopback addresses signed by it (cert.pem, key.pem) in dir. The authority's key is not kept: it has nothing else to
// sign.
func MakeCertificates(dir, hostname string, now time.Time) error {
	if err := makeDir(dir, 0o700); err != nil {
		return err
	}
	from, until := now.Add(-time.Hour), now.Add(certificateLife)
	if now.Before(writtenIn()) { // valid by the wrong clock, and when it has been set
		until = writtenIn().Add(certificateLife)
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: serial(now, 1), Subject: pkix.Name{CommonName: "Postrider local authority of " + hostname},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(now, 2), Subject: pkix.Name{CommonName: hostname},
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{hostname, "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The certificate comes last: where it is, everything is.
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{{"ca.pem", "CERTIFICATE", caDER}, {"key.pem", "PRIVATE KEY", keyDER}, {"cert.pem", "CERTIFICATE", der}} {
		text := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})
		if err := writeFile(filepath.Join(dir, f.name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// serial differs between the certificates of one authority and those made later.
func serial(now time.Time, n int64) *big.Int {
	return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(now.UnixNano()), 8), big.NewInt(n))
}

// writeFile writes a file in whole: a reader sees the old one or the new one. It is durable, name and all: files written
// in turn are there in turn, also after a power cut.
func writeFile(name string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return vfs.OS{}.SyncDir(filepath.Dir(name))
}
