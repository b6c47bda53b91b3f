package sasl_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/wire/sasl"
)

func TestCertificateName(t *testing.T) {
	verified := func(c *x509.Certificate) *tls.ConnectionState {
		return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{c}}}
	}
	for _, c := range []struct {
		about string
		state *tls.ConnectionState
		want  string
	}{
		{"in the clear", nil, ""},
		{"no certificate", &tls.ConnectionState{}, ""},
		{"not verified", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{EmailAddresses: []string{"a@b.test"}}}}, ""},
		{"an address", verified(&x509.Certificate{EmailAddresses: []string{"a@b.test", "c@d.test"}, Subject: pkix.Name{CommonName: "x@y.test"}}), "a@b.test"},
		{"a common name that is one", verified(&x509.Certificate{Subject: pkix.Name{CommonName: "x@y.test"}}), "x@y.test"},
		{"a common name that is none", verified(&x509.Certificate{Subject: pkix.Name{CommonName: "Alice"}, DNSNames: []string{"y.test"}}), ""},
		{"half an address", verified(&x509.Certificate{Subject: pkix.Name{CommonName: "@y.test"}}), ""},
		{"NUL", verified(&x509.Certificate{EmailAddresses: []string{"a\x00@b.test"}}), ""},
		{"not UTF-8", verified(&x509.Certificate{EmailAddresses: []string{"a\xff@b.test"}}), ""},
		{"too long", verified(&x509.Certificate{EmailAddresses: []string{strings.Repeat("a", 512) + "@b.test"}}), ""},
	} {
		if got := sasl.CertificateName(c.state); got != c.want {
			t.Errorf("%s: %q, want %q", c.about, got, c.want)
		}
	}
}

func TestExternal(t *testing.T) {
	alice := sasl.Identity{Account: 1, Name: "alice@here.test"}
	s := sasl.NewServer(nil, sasl.Options{External: func(_ context.Context, name string) (sasl.Identity, error) {
		if name != alice.Name {
			return sasl.Identity{}, sasl.ErrCredentials
		}
		return alice, nil
	}})
	for _, c := range []struct {
		about, certificate, authzid string
		err                         error
	}{
		{"the certificate's name", alice.Name, "", nil},
		{"the same said again", alice.Name, "Alice@Here.test", nil},
		{"another's name", alice.Name, "bob@here.test", sasl.ErrAuthzid},
		{"not a name", alice.Name, "alice\x00", sasl.ErrMalformed},
		{"too long", alice.Name, strings.Repeat("a", 513), sasl.ErrMalformed},
		{"an unknown name", "eve@here.test", "", sasl.ErrCredentials},
		{"no certificate", "", "alice@here.test", sasl.ErrMechanism},
	} {
		o := sasl.Origin{Certificate: c.certificate}
		if offered := slices.Contains(s.Offered(o), "EXTERNAL"); offered != (c.certificate != "") {
			t.Errorf("%s: offered %v", c.about, offered)
		}
		x, err := s.Start("external")
		if err != nil {
			t.Fatal(err)
		}
		ctx := sasl.WithOrigin(t.Context(), o)
		if challenge, done, err := x.Next(ctx, nil); challenge == nil || done || err != nil {
			t.Fatalf("%s: no empty challenge: %v", c.about, err)
		}
		_, done, err := x.Next(ctx, []byte(c.authzid))
		if !errors.Is(err, c.err) || done != (c.err == nil) || done && x.Identity() != alice || !done && !x.Identity().IsZero() {
			t.Errorf("%s: done %v, %v, %v", c.about, done, x.Identity(), err)
		}
	}
	none := sasl.NewServer(nil, sasl.Options{})
	if _, err := none.Start(sasl.External); !errors.Is(err, sasl.ErrMechanism) || slices.Contains(none.Offered(sasl.Origin{Certificate: alice.Name}), sasl.External) {
		t.Errorf("without anybody who knows certificates: %v", err)
	}
}
