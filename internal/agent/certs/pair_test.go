package certs

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"
)

// FuzzParse: whatever stands in the files, there is an error that names one of them, or a pair that can be shown.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		s := Source{Cert: "c.pem", Key: "k.pem"}
		p, err := parse(s, texts{cert, key})
		if err != nil {
			if p != nil || !bytes.Contains([]byte(err.Error()), []byte(".pem")) {
				t.Fatalf("%v", err)
			}
			return
		}
		if p.cert.Leaf == nil || p.cert.PrivateKey == nil || p.sum != (texts{cert, key}).sum() {
			t.Fatalf("half a pair: %+v", p)
		}
		if _, err := x509.ParseCertificate(p.cert.Certificate[0]); err != nil {
			t.Fatal(err)
		}
		for _, name := range p.names {
			if !p.covers(name) {
				t.Fatalf("does not cover its own name %q", name)
			}
		}
		for _, w := range p.warnings(time.Unix(1_800_000_000, 0)) {
			if !bytes.Contains([]byte(w), []byte("c.pem")) {
				t.Fatalf("a warning without its file: %s", w)
			}
		}
	})
}

func TestWildcard(t *testing.T) {
	for name, want := range map[string]string{"a.b.test": "*.b.test", "test": "", "": "", "*.test": "*.test"} {
		if got := wildcard(name); got != want {
			t.Errorf("wildcard(%q) = %q, want %q", name, got, want)
		}
	}
}

// The sum tells apart what differs only in where the certificate ends.
func TestSum(t *testing.T) {
	if (texts{[]byte("ab"), []byte("c")}).sum() == (texts{[]byte("a"), []byte("bc")}).sum() {
		t.Error("the same sum")
	}
}
