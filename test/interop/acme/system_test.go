package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/test/interop/system"
)

// The whole server: it answers challenges on its own http and https listeners, and shows what it was given on all
// services without a restart; started again it asks nobody.
func TestServerObtainsItsCertificate(t *testing.T) {
	for _, c := range []struct{ challenge, proxy string }{{"http-01", ""}, {"tls-alpn-01", ""}, {"http-01", "nginx"}, {"http-01", "caddy"}} {
		challenge := c.challenge
		t.Run(challenge+c.proxy, func(t *testing.T) {
			p := freePorts(t)
			outside := p.http // where the authority asks
			if c.proxy != "" {
				outside = freePort(t)
				startProxy(t, c.proxy, outside, p.http)
			}
			a := startPebble(t, plan{dns: dnstest.New(t, addresses).Listen(t), httpPort: outside, tlsPort: p.tls})
			home := t.TempDir() // stays empty
			t.Setenv("HOME", home)
			t.Setenv("XDG_DATA_HOME", "")
			o := system.Options{Dir: filepath.Join(t.TempDir(), "data"), Set: []string{
				fmt.Sprintf(`listeners.http.addresses=["127.0.0.1:%d"]`, p.http),
				"listeners.https.enabled=true", fmt.Sprintf(`listeners.https.addresses=["127.0.0.1:%d"]`, p.tls),
				"tls.acme.enabled=true", `tls.acme.names=["mx.acme.test"]`, fmt.Sprintf("tls.acme.challenges=[%q]", challenge),
				fmt.Sprintf("tls.acme.http_port=%d", p.http), fmt.Sprintf("tls.acme.tls_alpn_port=%d", p.tls),
				fmt.Sprintf("tls.acme.directory=%q", a.Directory), fmt.Sprintf("tls.acme.ca=%q", a.CA), `tls.acme.email="hostmaster@acme.test"`,
			}}
			s := system.Start(t, o)
			var first *x509.Certificate
			await(t, "the certificate on imaps", func() (err error) {
				first, err = a.onIMAPS(t.Context(), s)
				return err
			})
			if again, err := a.onSMTP(s); err != nil || again.SerialNumber.Cmp(first.SerialNumber) != 0 {
				t.Errorf("STARTTLS on smtp: %v", err)
			}
			s.Stop(t)
			s = system.Start(t, o)
			if again, err := a.onIMAPS(t.Context(), s); err != nil || again.SerialNumber.Cmp(first.SerialNumber) != 0 {
				t.Errorf("after a restart: %v", err)
			}
			if a.orders() != 1 {
				t.Errorf("%d orders", a.orders())
			}
			s.Stop(t)
			if left, err := os.ReadDir(home); err != nil || len(left) != 0 {
				t.Errorf("the home directory was written to: %v, %v", left, err)
			}
		})
	}
}

func (a *authority) onIMAPS(ctx context.Context, s *system.System) (*x509.Certificate, error) {
	conn, err := net.Dial("tcp", s.Listeners["imaps"])
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return a.shown(ctx, conn, "mx.acme.test")
}

func (a *authority) onSMTP(s *system.System) (*x509.Certificate, error) {
	c, err := smtp.DialStartTLS(s.Listeners["smtp"], &tls.Config{RootCAs: a.roots, ServerName: "mx.acme.test"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Noop(); err != nil { // the library's handshake waits for the first command
		return nil, err
	}
	state, ok := c.TLSConnectionState()
	if !ok {
		return nil, errors.New("no TLS")
	}
	return state.PeerCertificates[0], nil
}
