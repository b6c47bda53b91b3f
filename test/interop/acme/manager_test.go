package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/internal/state/certstore"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
)

const addresses = "mx.acme.test. A 127.0.0.1\nimap.acme.test. A 127.0.0.1\n"

// site is a Manager with the listeners that answer challenges.
type site struct {
	*certs.Manager
	settings certs.Settings
	mail     string // address of a listener
	log      output
}

// ports are where a site answers.
type ports struct{ http, tls int }

func freePorts(t testing.TB) ports { return ports{freePort(t), freePort(t)} }

// settings of a site that obtains names.
func settings(t testing.TB, a *authority, p ports, challenges []string, names ...string) certs.Settings {
	t.Helper()
	dir := t.TempDir()
	if err := node.MakeCertificates(dir, "mx.acme.test", time.Now()); err != nil {
		t.Fatal(err)
	}
	return certs.Settings{Hostname: "mx.acme.test", MinVersion: tls.VersionTLS12,
		Fallback: certs.Source{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")},
		ACME: &certs.ACME{Email: "hostmaster@acme.test", Directory: a.Directory, CA: a.CA, Names: names, Challenges: challenges,
			HTTPPort: p.http, TLSALPNPort: p.tls}}
}

// startSite makes a site over a database. listen tells whether it has listeners of its own on its ports.
func startSite(t testing.TB, d *db.DB, s certs.Settings, listen bool) *site {
	t.Helper()
	st := &site{settings: s}
	store := certstore.New(certstore.Options{DB: d})
	st.Manager = certs.New(certs.Options{Storage: store, RenewCheck: 100 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(&st.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	st.use(t, s)
	if listen {
		st.listen(t)
	}
	st.listenMail(t)
	st.Start()
	t.Cleanup(func() {
		st.Close()
		if err := store.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the site's log:\n%s", st.log.String())
		}
	})
	return st
}

func (s *site) use(t testing.TB, settings certs.Settings) {
	t.Helper()
	l, err := s.Load(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	s.Use(l)
}

func (s *site) listen(t testing.TB) {
	t.Helper()
	for port, secure := range map[int]bool{s.settings.ACME.HTTPPort: false, s.settings.ACME.TLSALPNPort: true} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: s.HTTPChallenge(http.NotFoundHandler()), TLSConfig: s.TLSConfig(certs.Web),
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		done := make(chan error, 1)
		go func() {
			if secure {
				done <- server.ServeTLS(l, "", "")
			} else {
				done <- server.Serve(l)
			}
		}()
		t.Cleanup(func() {
			if err := errors.Join(server.Close(), <-done); !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		})
	}
}

// shows waits until the site shows the authority's certificate for a name, and returns it.
func (s *site) shows(t testing.TB, a *authority, name string) (cert *x509.Certificate) {
	t.Helper()
	await(t, "a certificate for "+name, func() (err error) { cert, err = s.handshake(t.Context(), a, name); return err })
	return cert
}

func (s *site) handshake(ctx context.Context, a *authority, name string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.mail)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return a.shown(ctx, conn, name)
}

// listenMail opens a listener that only shows a certificate.
func (s *site) listenMail(t testing.TB) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.TLSConfig(certs.Mail))
	if err != nil {
		t.Fatal(err)
	}
	s.mail = l.Addr().String()
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn) // until the client has seen enough
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		group.Wait()
	})
}

func TestChallengesOverTheNetwork(t *testing.T) {
	dns := dnstest.New(t, addresses).Listen(t)
	for _, c := range []struct {
		challenge string
		listen    bool // on our own listeners, or on ones opened for the challenge
	}{{"http-01", true}, {"tls-alpn-01", true}, {"http-01", false}, {"tls-alpn-01", false}} {
		t.Run(fmt.Sprintf("%s/listen=%v", c.challenge, c.listen), func(t *testing.T) {
			p := freePorts(t)
			a := startPebble(t, plan{dns: dns, httpPort: p.http, tlsPort: p.tls})
			s := startSite(t, dbtest.Open(t), settings(t, a, p, []string{c.challenge}, "mx.acme.test", "imap.acme.test"), c.listen)
			s.shows(t, a, "mx.acme.test")
			s.shows(t, a, "imap.acme.test")
			if _, err := s.handshake(t.Context(), a, ""); err == nil || !strings.Contains(err.Error(), "InsecureSkipVerify") {
				t.Errorf("a handshake without a name: %v", err)
			}
			for _, state := range s.Status() {
				if state.From != "acme" || state.Problem != "" || state.NotAfter.IsZero() {
					t.Errorf("status: %+v", state)
				}
			}
		})
	}
}

func TestChallengeByDynamicUpdate(t *testing.T) {
	z := startZone(t)
	a := startPebble(t, plan{dns: z.Address, httpPort: 1, tlsPort: 1})
	set := settings(t, a, ports{1, 1}, []string{"dns-01"}, "mx.acme.test", "*.acme.test")
	set.ACME.DNS = certs.DNS{Server: z.Address, KeyName: "postrider", KeySecretFile: z.Secret, KeyAlgorithm: "hmac-sha256", TTL: time.Minute}
	s := startSite(t, dbtest.Open(t), set, false)
	s.shows(t, a, "mx.acme.test")
	s.shows(t, a, "any.acme.test")
	// The records are gone, and only then is the work over.
	await(t, "the records to be removed", func() error {
		log := z.log.String()
		added, removed := strings.Count(log, "adding an RR at '_acme-challenge"), strings.Count(log, "deleting an RR at _acme-challenge")
		if added != 2 || removed != 2 {
			return fmt.Errorf("%d added, %d removed", added, removed)
		}
		return nil
	})
}

func TestDynamicUpdateRefused(t *testing.T) {
	z := startZone(t)
	a := startPebble(t, plan{dns: z.Address, httpPort: 1, tlsPort: 1})
	for _, c := range []struct{ about, key, name, want string }{
		{"a name that the key may not change", "postrider", "other.acme.test", "REFUSED: does the server allow this key"},
		{"an unknown key", "stranger", "mx.acme.test", "NOTAUTH (BADKEY): is the server the primary"},
	} {
		set := settings(t, a, ports{1, 1}, []string{"dns-01"}, c.name)
		set.ACME.DNS = certs.DNS{Server: z.Address, KeyName: c.key, KeySecretFile: z.Secret, KeyAlgorithm: "hmac-sha256", TTL: time.Minute}
		s := startSite(t, dbtest.Open(t), set, false)
		await(t, c.about, func() error { return s.complains(c.want) })
	}
}

// complains tells whether the status names a reason.
func (s *site) complains(want string) error {
	list := s.Status()
	if len(list) == 0 || !strings.Contains(list[0].Problem, want) {
		return fmt.Errorf("status %+v, want %q", list, want)
	}
	return nil
}

// Certificates so short-lived that they must be renewed while we look: by certmagic's own maintenance.
func TestRenewal(t *testing.T) {
	p := freePorts(t)
	a := startPebble(t, plan{dns: dnstest.New(t, addresses).Listen(t), httpPort: p.http, tlsPort: p.tls, validity: 6 * time.Second})
	s := startSite(t, dbtest.Open(t), settings(t, a, p, []string{"http-01"}, "mx.acme.test"), true)
	first := s.shows(t, a, "mx.acme.test")
	var next *x509.Certificate
	await(t, "another certificate", func() error {
		cert, err := s.handshake(t.Context(), a, "mx.acme.test")
		if err == nil && cert.SerialNumber.Cmp(first.SerialNumber) == 0 {
			err = errors.New("it is the same")
		}
		next = cert
		return err
	})
	if !next.NotAfter.After(first.NotAfter) {
		t.Errorf("the first ends at %v, the next at %v", first.NotAfter, next.NotAfter)
	}
}

func TestRestartAsksNobody(t *testing.T) {
	p := freePorts(t)
	a := startPebble(t, plan{dns: dnstest.New(t, addresses).Listen(t), httpPort: p.http, tlsPort: p.tls})
	d := dbtest.Open(t)
	set := settings(t, a, p, []string{"http-01"}, "mx.acme.test")
	var first *x509.Certificate
	t.Run("first", func(t *testing.T) { first = startSite(t, d, set, true).shows(t, a, "mx.acme.test") })
	orders := a.orders()
	again, err := startSite(t, d, set, false).handshake(t.Context(), a, "mx.acme.test") // at once
	if err != nil || again.SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Errorf("after the restart: %v", err)
	}
	if orders != 1 || a.orders() != orders {
		t.Errorf("%d orders before, %d after", orders, a.orders())
	}
}

// Two processes over one database obtain one certificate.
func TestTwoProcesses(t *testing.T) {
	p := freePorts(t)
	a := startPebble(t, plan{dns: dnstest.New(t, addresses).Listen(t), httpPort: p.http, tlsPort: p.tls})
	d := dbtest.Open(t)
	set := settings(t, a, p, []string{"http-01"}, "mx.acme.test")
	one, two := startSite(t, d, set, true), startSite(t, d, set, false)
	if one.shows(t, a, "mx.acme.test").SerialNumber.Cmp(two.shows(t, a, "mx.acme.test").SerialNumber) != 0 || a.orders() != 1 {
		t.Errorf("they show different certificates, of %d orders", a.orders())
	}
}

// Whatever the authority says, there is a certificate to show, and a reload tries again at once.
func TestRefusal(t *testing.T) {
	p := freePorts(t)
	dns := dnstest.New(t, addresses).Listen(t)
	blocked := startPebble(t, plan{dns: dns, httpPort: p.http, tlsPort: p.tls, blocked: []string{"acme.test"}})
	deaf := startPebble(t, plan{dns: dns, httpPort: 1, tlsPort: 1})
	well := startPebble(t, plan{dns: dns, httpPort: p.http, tlsPort: p.tls})
	gone := *well
	gone.Directory = fmt.Sprintf("https://localhost:%d/dir", freePort(t))
	strange := *well
	strange.CA = blocked.CA // another authority's
	var s *site
	for _, c := range []struct {
		about string
		a     *authority
		want  string
	}{
		{"names refused", blocked, "rejectedIdentifier"},
		{"the challenge cannot be reached", deaf, "connection refused"},
		{"no authority", &gone, "connection refused"},
		{"an authority whose HTTPS nobody vouches for", &strange, "certificate signed by unknown authority"},
	} {
		set := settings(t, c.a, p, []string{"http-01"}, "mx.acme.test")
		if s == nil {
			s = startSite(t, dbtest.Open(t), set, true)
		} else {
			s.use(t, set)
		}
		await(t, c.about, func() error { return s.complains(c.want) })
		if _, err := s.handshake(t.Context(), c.a, "mx.acme.test"); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("%s: what is shown is not our own: %v", c.about, err)
		}
		if list := s.Status(); len(list) != 2 || list[1].From != "self-signed" {
			t.Errorf("%s: %+v", c.about, list)
		}
	}
	s.use(t, settings(t, well, p, []string{"http-01"}, "mx.acme.test"))
	s.shows(t, well, "mx.acme.test")
}
