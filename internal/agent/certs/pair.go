package certs

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// maxFile bounds what is parsed of one file, in bytes.
const maxFile = 1 << 20

// pair is a certificate with its key.
type pair struct {
	source Source
	cert   *tls.Certificate // with Leaf
	names  []string         // host names in lower case, perhaps with "*."
	sum    [32]byte         // of the texts it was made from
}

// texts are the contents of a Source's files.
type texts struct{ cert, key []byte }

func (t texts) sum() [32]byte {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d:", len(t.cert)) // a hash never fails
	_, _ = h.Write(t.cert)
	_, _ = h.Write(t.key)
	return [32]byte(h.Sum(nil))
}

// read reads the files of a pair.
func (m *Manager) read(ctx context.Context, s Source) (t texts, err error) {
	if t.cert, err = m.readOne(ctx, s.Cert); err != nil {
		return t, err
	}
	t.key = t.cert
	if s.Key != "" {
		t.key, err = m.readOne(ctx, s.Key)
	}
	return t, err
}

func (m *Manager) readOne(ctx context.Context, name string) ([]byte, error) {
	text, err := m.opt.ReadFile(ctx, name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s cannot be read (%w): let the user of the server read it, or let the helper do it (helper.enabled)", name, err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is not there: correct the name, or put the file there", name)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read: %w", name, err)
	case len(text) > maxFile:
		return nil, fmt.Errorf("%s has %d bytes: that is no certificate", name, len(text))
	}
	return text, nil
}

// parse makes a pair of its texts. Its errors name the file and the mend.
func parse(s Source, t texts) (*pair, error) {
	keyFile := s.Key
	if keyFile == "" {
		keyFile = s.Cert
	}
	if err := checkBlocks(s.Cert, t.cert, "CERTIFICATE", "a certificate"); err != nil {
		return nil, err
	}
	if err := checkBlocks(keyFile, t.key, "PRIVATE KEY", "a private key"); err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(t.cert, t.key)
	if err != nil {
		// The library's word for a key that belongs to another certificate has no type of its own.
		if strings.Contains(err.Error(), "does not match") {
			return nil, fmt.Errorf("the key in %s does not belong to the first certificate in %s: name the key that the certificate "+
				"was made for, and put the certificate before its intermediates", keyFile, s.Cert)
		}
		return nil, fmt.Errorf("%s with the key in %s: %w", s.Cert, keyFile, err)
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Cert, err)
		}
	}
	p := &pair{source: s, cert: &cert, sum: t.sum()}
	for _, name := range cert.Leaf.DNSNames {
		p.names = append(p.names, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	return p, nil
}

// checkBlocks finds out why a file does not hold what it should.
func checkBlocks(name string, text []byte, kind, what string) error {
	others := ""
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		switch {
		case b.Type == "ENCRYPTED PRIVATE KEY" && kind == "PRIVATE KEY", b.Headers["DEK-Info"] != "":
			return fmt.Errorf("the key in %s is protected by a passphrase: write it without one (openssl pkey -in %s -out NEW)", name, name)
		case b.Type == kind, kind == "PRIVATE KEY" && strings.HasSuffix(b.Type, " PRIVATE KEY"):
			return nil
		}
		others = b.Type
	}
	switch {
	case others != "":
		return fmt.Errorf("%s holds no %s, but %q: are the certificate and its key exchanged?", name, strings.TrimPrefix(what, "a "), others)
	case len(bytes.TrimSpace(text)) == 0:
		return fmt.Errorf("%s is empty", name)
	case bytes.Contains(text, []byte("-----BEGIN ")):
		return fmt.Errorf("%s is damaged: a block begins and does not end as PEM wants", name)
	}
	return fmt.Errorf("%s is not PEM: it has no line \"-----BEGIN %s-----\" (from DER: openssl x509 -inform der -in %s -out NEW)", name, kind, name)
}

// warnings are what is wrong with a pair that can be shown all the same.
func (p *pair) warnings(now time.Time) (list []string) {
	leaf := p.cert.Leaf
	switch {
	case now.After(leaf.NotAfter):
		list = append(list, fmt.Sprintf("the certificate in %s (%s) expired at %s, and clients refuse it: renew it",
			p.source.Cert, p.title(), leaf.NotAfter.UTC().Format(time.RFC3339)))
	case now.Before(leaf.NotBefore):
		list = append(list, fmt.Sprintf("the certificate in %s (%s) is not valid before %s, and clients refuse it: is the clock right?",
			p.source.Cert, p.title(), leaf.NotBefore.UTC().Format(time.RFC3339)))
	}
	if len(p.names) == 0 && len(leaf.IPAddresses) == 0 {
		list = append(list, fmt.Sprintf("the certificate in %s names no host (subjectAltName), and clients refuse it: make one that does", p.source.Cert))
	}
	return list
}

// title is what the pair is called in texts and metrics.
func (p *pair) title() string {
	if len(p.names) > 0 {
		return p.names[0]
	}
	return p.cert.Leaf.Subject.CommonName
}

// covers tells whether the certificate is for a name, by itself or by a wildcard.
func (p *pair) covers(name string) bool {
	for _, n := range p.names {
		if n == name || n == wildcard(name) {
			return true
		}
	}
	return false
}

// wildcard is the name with its first label replaced, RFC 9525 §6.3: an asterisk stands for one whole label.
func wildcard(name string) string {
	_, parent, ok := strings.Cut(name, ".")
	if !ok {
		return ""
	}
	return "*." + parent
}

// isRSA tells the keys whose signatures cost the server most.
func isRSA(c *tls.Certificate) bool {
	_, ok := c.Leaf.PublicKey.(*rsa.PublicKey)
	return ok
}
