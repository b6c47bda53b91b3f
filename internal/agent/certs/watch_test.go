package certs_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/agent/certs"
)

func readFile(name string) ([]byte, error) { return os.ReadFile(name) }

// watched is a Manager that watches one pair, and what it shows.
func watched(t *testing.T, s certs.Settings) (m *certs.Manager, log *logged) {
	t.Helper()
	log = &logged{}
	m = using(t, certs.Options{Log: log.logger()}, s)
	m.Start()
	t.Cleanup(m.Close)
	return m, log
}

// passed lets the watcher look.
func passed() {
	time.Sleep(10 * time.Second)
	synctest.Wait()
}

func TestFilesThatChange(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	names := []string{"mx.test"}
	synctest.Test(t, func(t *testing.T) {
		s := a.files(t, dir, "c", leaf{cn: "first", names: names})
		m, log := watched(t, certs.Settings{Hostname: "mx.test", Default: s})
		check := func(about, want string) {
			t.Helper()
			passed()
			if got := shown(t, m, &tls.Config{}); got != want {
				t.Errorf("%s: %s is shown, want %s", about, got, want)
			}
		}
		check("at first", "first")

		a.files(t, dir, "c", leaf{cn: "in place", names: names})
		check("written in place", "in place")

		// The certificate is written, the key some time later.
		cert, key := a.issue(t, leaf{cn: "in turn", names: names})
		write(t, s.Cert, cert)
		check("half written", "in place")
		check("half written, still", "in place")
		if n := strings.Count(log.String(), "stays in use"); n != 1 || !strings.Contains(log.String(), "does not belong to the first certificate in "+s.Cert) {
			t.Errorf("the mismatch was logged %d times:\n%s", n, log)
		}
		write(t, s.Key, key)
		check("written in turn", "in turn")

		// Replaced by renaming.
		cert, key = a.issue(t, leaf{cn: "renamed", names: names})
		for name, text := range map[string][]byte{s.Cert: cert, s.Key: key} {
			write(t, name+".new", text)
			if err := os.Rename(name+".new", name); err != nil {
				t.Fatal(err)
			}
		}
		check("renamed", "renamed")

		for _, bad := range []string{"", "garbage", string(key)} {
			write(t, s.Cert, []byte(bad))
			check("broken", "renamed")
		}
		if err := os.Remove(s.Cert); err != nil {
			t.Fatal(err)
		}
		check("removed", "renamed")
		a.files(t, dir, "c", leaf{cn: "again", names: names})
		check("there again", "again")
	})
}

// certbot's live folder: links into an archive, which are turned to the next number.
func TestLinksThatTurn(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a.files(t, dir, "archive1", leaf{cn: "one", names: []string{"mx.test"}})
		a.files(t, dir, "archive2", leaf{cn: "two", names: []string{"mx.test"}})
		live := certs.Source{Cert: filepath.Join(dir, "fullchain.pem"), Key: filepath.Join(dir, "privkey.pem")}
		turn := func(to string) {
			t.Helper()
			for link, target := range map[string]string{live.Cert: to + ".pem", live.Key: to + ".key"} {
				if err := errors.Join(os.Symlink(target, link+".new"), os.Rename(link+".new", link)); err != nil {
					t.Fatal(err)
				}
			}
		}
		turn("archive1")
		m, _ := watched(t, certs.Settings{Hostname: "mx.test", Default: live})
		turn("archive2")
		passed()
		if got := shown(t, m, &tls.Config{}); got != "two" {
			t.Errorf("%s is shown", got)
		}
	})
}

// A session that is open when the certificate changes notices nothing.
func TestConnectionsSurvive(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m, _ := watched(t, certs.Settings{Hostname: "mx.test", Default: a.files(t, dir, "c", leaf{cn: "first", names: []string{"mx.test"}})})
		one, two := net.Pipe()
		server, client := tls.Server(one, m.TLSConfig(certs.Login)), tls.Client(two, &tls.Config{RootCAs: a.pool, ServerName: "mx.test"})
		defer server.Close()
		defer client.Close()
		go func() {
			buf := make([]byte, 8)
			for {
				n, err := server.Read(buf)
				if err != nil {
					return
				}
				if _, err := server.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
		for i := range 3 {
			buf := make([]byte, 8)
			if _, err := client.Write([]byte("hello")); err != nil {
				t.Fatal(i, err)
			}
			if n, err := client.Read(buf); err != nil || string(buf[:n]) != "hello" {
				t.Fatal(i, err)
			}
			a.files(t, dir, "c", leaf{cn: "next", names: []string{"mx.test"}})
			passed()
		}
		if got := shown(t, m, &tls.Config{}); got != "next" {
			t.Errorf("%s is shown", got)
		}
	})
}

func TestClientAuthoritiesThatChange(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	old, fresh := newAuthority(t), newAuthority(t)
	synctest.Test(t, func(t *testing.T) {
		ca := filepath.Join(dir, "clients.pem")
		write(t, ca, old.pem())
		m, log := watched(t, certs.Settings{Hostname: "mx.test", ClientCA: ca, Default: a.files(t, dir, "c", leaf{names: []string{"mx.test"}})})
		cert, err := tls.X509KeyPair(fresh.issue(t, leaf{emails: []string{"alice@here.test"}}))
		if err != nil {
			t.Fatal(err)
		}
		client := &tls.Config{RootCAs: a.pool, ServerName: "mx.test",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }}
		if _, _, err := shake(t, m.TLSConfig(certs.Login), client); err == nil {
			t.Error("a certificate of the new authority is taken too early")
		}
		write(t, ca, []byte("broken"))
		passed()
		if !strings.Contains(log.String(), "clients.pem is not PEM") {
			t.Errorf("nothing was said of the broken file:\n%s", log)
		}
		write(t, ca, fresh.pem())
		passed()
		if _, _, err := shake(t, m.TLSConfig(certs.Login), client); err != nil {
			t.Errorf("after the change: %v", err)
		}
	})
}

func TestExpiryIsComplainedOfDaily(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := a.files(t, dir, "c", leaf{names: []string{"mx.test"}, until: time.Now().Add(10 * 24 * time.Hour)})
		var days atomic.Int64
		log := &logged{}
		m := using(t, certs.Options{Log: log.logger(), Now: func() time.Time { return time.Now().Add(time.Duration(days.Load()) * 24 * time.Hour) }},
			certs.Settings{Hostname: "mx.test", Default: s})
		m.Start()
		defer m.Close()
		for day := range int64(6) {
			days.Store(day)
			passed()
			if day == 2 && log.String() != "" {
				t.Errorf("too early: %s", log)
			}
		}
		if n := strings.Count(log.String(), "expires soon"); n != 3 {
			t.Errorf("%d complaints in three days:\n%s", n, log)
		}
		if left := m.Expiry()["mx.test"]; left <= 3*86400 || left >= 5*86400 {
			t.Errorf("%v seconds left", left)
		}
	})
}

// A file that only root may read comes through the seam, also when it changes.
func TestReadFileSeam(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := a.files(t, dir, "c", leaf{cn: "first", names: []string{"mx.test"}})
		asked := 0
		m := using(t, certs.Options{ReadFile: func(_ context.Context, name string) ([]byte, error) {
			asked++
			return os.ReadFile(filepath.Join(dir, filepath.Base(name)))
		}}, certs.Settings{Hostname: "mx.test", Default: certs.Source{Cert: "/root/c.pem", Key: "/root/" + filepath.Base(s.Key)}})
		m.Start()
		a.files(t, dir, "c", leaf{cn: "second", names: []string{"mx.test"}})
		passed()
		if got := shown(t, m, &tls.Config{}); got != "second" || asked < 4 {
			t.Errorf("%s is shown after %d reads", got, asked)
		}
		m.Close()
	})
}
