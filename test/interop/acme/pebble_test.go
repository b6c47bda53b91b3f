package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/test/needs"
)

// patience bounds the waiting for what an authority does: validation waits for nobody, but the machine may be busy.
const patience = 40 * time.Second

// authority is a running pebble.
type authority struct {
	Directory string // URL
	CA        string // PEM file: what its HTTPS is trusted by
	roots     *x509.CertPool
	log       *output
}

// plan is how a pebble is run.
type plan struct {
	dns               string // server that it asks
	httpPort, tlsPort int    // where it expects the answers to challenges
	validity          time.Duration
	blocked           []string // domains that it refuses
	listen            int      // port; 0: any
}

// output collects what a program writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// pebble builds the binary, which the go command keeps in its cache, and returns its path.
func pebble(t testing.TB) string {
	t.Helper()
	c := exec.Command("go", "tool", "-n", "pebble")
	c.Dir = filepath.Join("..", "..", "..", "tools")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("build pebble: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// freePort is a port that nobody has at the moment. Pebble and the server under test must know each other's before either
// runs, so the kernel cannot choose at the last moment.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startPebble runs an authority until the test ends.
func startPebble(t testing.TB, p plan) *authority {
	t.Helper()
	needs.Quick(t, "an ACME server is built and started")
	bin := pebble(t)
	dir := t.TempDir()
	if err := node.MakeCertificates(filepath.Join(dir, "tls"), "localhost", time.Now()); err != nil {
		t.Fatal(err)
	}
	if p.listen == 0 {
		p.listen = freePort(t)
	}
	if p.validity == 0 {
		p.validity = 90 * 24 * time.Hour
	}
	management := freePort(t)
	config := map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", p.listen), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", management),
		"certificate": filepath.Join(dir, "tls", "cert.pem"), "privateKey": filepath.Join(dir, "tls", "key.pem"),
		"httpPort": p.httpPort, "tlsPort": p.tlsPort, "keyAlgorithm": "ecdsa", "domainBlocklist": p.blocked,
		"profiles": map[string]any{"default": map[string]any{"description": "of the test", "validityPeriod": int(p.validity.Seconds())}},
	}}
	text, err := json.Marshal(config)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "pebble.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{Directory: fmt.Sprintf("https://localhost:%d/dir", p.listen), CA: filepath.Join(dir, "tls", "ca.pem"), log: new(output)}
	c := exec.Command(bin, "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", p.dns)
	c.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	c.Stdout, c.Stderr = a.log, a.log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait() // of the kill
		if t.Failed() {
			t.Logf("pebble's log:\n%s", a.log.String())
		}
	})
	a.fetchRoots(t, fmt.Sprintf("https://127.0.0.1:%d/roots/0", management))
	return a
}

// fetchRoots waits until pebble answers, and takes the certificate that it signs with.
func (a *authority) fetchRoots(t testing.TB, url string) {
	t.Helper()
	own, err := os.ReadFile(a.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(own)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	await(t, "pebble to answer", func() error {
		for _, u := range []string{a.Directory, url} {
			r, err := client.Get(u)
			if err != nil {
				return err
			}
			text, err := io.ReadAll(r.Body)
			if err = errors.Join(err, r.Body.Close()); err != nil {
				return err
			}
			if u == url {
				a.roots = x509.NewCertPool()
				if !a.roots.AppendCertsFromPEM(text) {
					return fmt.Errorf("%s: no certificate", u)
				}
			}
		}
		return nil
	})
}

// orders is how many certificates were asked for. (A request may come twice: pebble refuses some good nonces.)
func (a *authority) orders() int { return strings.Count(a.log.String(), "Added order") }

// await calls f until it has no error.
func await(t testing.TB, what string, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("waited in vain for %s: %v", what, err)
}

// shown is the certificate that a TLS server shows for a name, verified by the authority's root.
func (a *authority) shown(ctx context.Context, conn net.Conn, name string) (*x509.Certificate, error) {
	c := tls.Client(conn, &tls.Config{RootCAs: a.roots, ServerName: name})
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return c.ConnectionState().PeerCertificates[0], nil
}
