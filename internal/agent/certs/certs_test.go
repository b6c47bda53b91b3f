package certs_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/agent/certs"
)

func TestChoice(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	key := rsaKey(t)
	m := using(t, certs.Options{}, certs.Settings{Hostname: "mx.here.test",
		Default: a.files(t, dir, "default", leaf{cn: "default", names: []string{"mx.here.test", "Mail.Here.Test"}, key: key}),
		More: []certs.Source{
			a.files(t, dir, "ec", leaf{cn: "default-ec", names: []string{"mx.here.test"}}),
			a.files(t, dir, "wild", leaf{cn: "wild", names: []string{"*.there.test"}}),
			a.files(t, dir, "exact", leaf{cn: "exact", names: []string{"a.there.test"}}),
			a.files(t, dir, "old", leaf{cn: "old", names: []string{"b.test"}, until: time.Unix(1000, 0)}),
			a.files(t, dir, "new", leaf{cn: "new", names: []string{"b.test"}, key: key}),
		},
	})
	rsaOnly := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, c := range []struct {
		about, sni string
		suites     []uint16 // of a client that knows TLS 1.2 only
		want       string
	}{
		{about: "both kinds: the cheaper signature", sni: "mx.here.test", want: "default-ec"},
		{about: "a client without ECDSA", sni: "mx.here.test", suites: rsaOnly, want: "default"},
		{about: "no name", want: "default-ec"},
		{about: "no name, without ECDSA", suites: rsaOnly, want: "default"},
		{about: "a second name, in another case", sni: "MAIL.here.test", want: "default"},
		{about: "wildcard", sni: "x.there.test", want: "wild"},
		{about: "the name itself before the wildcard", sni: "a.there.test", want: "exact"},
		{about: "a wildcard is one label", sni: "x.y.there.test", want: "default-ec"},
		{about: "a wildcard is not its parent", sni: "there.test", want: "default-ec"},
		{about: "a name that nobody knows", sni: "stranger.test", want: "default-ec"},
		{about: "a valid one before an expired one", sni: "b.test", want: "new"},
	} {
		client := &tls.Config{ServerName: c.sni}
		if c.suites != nil {
			client.CipherSuites, client.MaxVersion = c.suites, tls.VersionTLS12
		}
		if got := shown(t, m, client); got != c.want {
			t.Errorf("%s: %s is shown, want %s", c.about, got, c.want)
		}
	}
}

func TestFallback(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	self := a.files(t, dir, "self", leaf{cn: "self", names: []string{"mx.test"}})
	if got := shown(t, using(t, certs.Options{}, certs.Settings{Hostname: "mx.test", Fallback: self}), &tls.Config{ServerName: "mx.test"}); got != "self" {
		t.Errorf("without any file %s is shown", got)
	}
	more := []certs.Source{a.files(t, dir, "more", leaf{cn: "more", names: []string{"other.test"}})}
	m := using(t, certs.Options{}, certs.Settings{Hostname: "mx.test", Fallback: self, More: more})
	if got := shown(t, m, &tls.Config{}); got != "more" {
		t.Errorf("with tls.certificates alone %s is shown", got)
	}
	if list := m.Status(); len(list) != 1 || list[0].From != more[0].Cert {
		t.Errorf("status: %+v", list)
	}
}

// The host has got another name, or ten years have gone by.
func TestSelfSignedThatClientsRefuse(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	good := a.files(t, dir, "good", leaf{names: []string{"mx.test", "localhost"}})
	for _, c := range []struct {
		about string
		s     certs.Settings
		want  string // a part of the one warning; "": none
	}{
		{"all is well", certs.Settings{Fallback: good}, ""},
		{"another name", certs.Settings{Fallback: a.files(t, dir, "other", leaf{names: []string{"old.test", "localhost"}})}, "is for old.test, localhost, not for the host's name mx.test"},
		{"expired", certs.Settings{Fallback: a.files(t, dir, "old", leaf{names: []string{"mx.test"}, until: time.Unix(1000, 0)})}, "expired at 1970-01-01T00:16:40Z"},
		{"not shown", certs.Settings{Default: good, Fallback: a.files(t, dir, "idle", leaf{names: []string{"old.test"}})}, ""},
	} {
		c.s.Hostname = "mx.test"
		l, err := certs.New(certs.Options{}).Load(t.Context(), c.s)
		if err != nil {
			t.Fatal(err)
		}
		if p := l.Problems(); len(p) > 1 || (len(p) == 1) != (c.want != "") || c.want != "" && !strings.Contains(p[0].Text, c.want) {
			t.Errorf("%s: %v, want %q", c.about, p, c.want)
		}
	}
}

func TestProtocol(t *testing.T) {
	a := newAuthority(t)
	s := certs.Settings{Hostname: "mx.test", Default: a.files(t, t.TempDir(), "c", leaf{names: []string{"mx.test"}, key: rsaKey(t)})}
	m := using(t, certs.Options{}, s)
	for _, k := range []certs.Kind{certs.Mail, certs.Login, certs.Web} {
		_, state, err := shake(t, m.TLSConfig(k), &tls.Config{RootCAs: a.pool, ServerName: "mx.test"})
		if err != nil || state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 {
			t.Errorf("kind %d: version %x, curve %v, %v", k, state.Version, state.CurveID, err)
		}
	}
	for _, c := range []struct {
		about  string
		client *tls.Config
		ok     bool
	}{
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		{"CBC", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}}, false},
		{"no forward secrecy", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false},
		{"a classical curve", &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}}, true},
	} {
		c.client.RootCAs, c.client.ServerName = a.pool, "mx.test"
		if _, _, err := shake(t, m.TLSConfig(certs.Mail), c.client); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.about, err)
		}
	}
	s.MinVersion = tls.VersionTLS13
	config := m.TLSConfig(certs.Mail) // made before the reload, and follows it
	l, err := m.Load(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	m.Use(l)
	if _, _, err := shake(t, config, &tls.Config{MaxVersion: tls.VersionTLS12, RootCAs: a.pool, ServerName: "mx.test"}); err == nil {
		t.Error("TLS 1.2 although min_version is 1.3")
	}
}

func TestTickets(t *testing.T) {
	a := newAuthority(t)
	m := using(t, certs.Options{}, certs.Settings{Hostname: "mx.test", Default: a.files(t, t.TempDir(), "c", leaf{names: []string{"mx.test"}})})
	server := m.TLSConfig(certs.Login)
	client := &tls.Config{RootCAs: a.pool, ServerName: "mx.test", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for i := range 2 {
		_, state, err := shake(t, server, client)
		if err != nil || state.DidResume != (i == 1) {
			t.Errorf("handshake %d: resumed %v, %v", i, state.DidResume, err)
		}
	}
}

func TestWebOffersHTTP2(t *testing.T) {
	a := newAuthority(t)
	m := using(t, certs.Options{}, certs.Settings{Hostname: "mx.test", Default: a.files(t, t.TempDir(), "c", leaf{names: []string{"mx.test"}})})
	_, state, err := shake(t, m.TLSConfig(certs.Web), &tls.Config{RootCAs: a.pool, ServerName: "mx.test", NextProtos: []string{"http/1.1", "h2"}})
	if err != nil || state.NegotiatedProtocol != "h2" {
		t.Errorf("%q, %v", state.NegotiatedProtocol, err)
	}
	if _, _, err := shake(t, m.TLSConfig(certs.Web), &tls.Config{InsecureSkipVerify: true, ServerName: "mx.test", NextProtos: []string{"acme-tls/1"}}); err == nil {
		t.Error("a challenge was answered that nobody has asked for")
	}
	w := httptest.NewRecorder()
	m.HTTPChallenge(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "http://mx.test/.well-known/acme-challenge/x", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("without ACME: %d", w.Code)
	}
}

func TestClientCertificates(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	clients := newAuthority(t)
	ca := filepath.Join(dir, "clients.pem")
	write(t, ca, clients.pem())
	m := using(t, certs.Options{}, certs.Settings{Hostname: "mx.test", ClientCA: ca,
		Default: a.files(t, dir, "c", leaf{names: []string{"mx.test"}})})
	pair := func(by *authority) []tls.Certificate {
		cert, err := tls.X509KeyPair(by.issue(t, leaf{emails: []string{"alice@here.test"}}))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{cert}
	}
	for _, c := range []struct {
		about    string
		kind     certs.Kind
		certs    []tls.Certificate
		ok       bool
		verified int
	}{
		{"one that we trust", certs.Login, pair(clients), true, 1},
		{"none", certs.Login, nil, true, 0},
		{"between servers nobody is asked", certs.Mail, pair(clients), true, 0},
		{"a stranger's", certs.Login, pair(a), false, 0},
	} {
		client := &tls.Config{RootCAs: a.pool, ServerName: "mx.test"}
		if c.certs != nil { // sent whatever the server says it accepts
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.certs[0], nil }
		}
		state, _, err := shake(t, m.TLSConfig(c.kind), client)
		if (err == nil) != c.ok || len(state.VerifiedChains) != c.verified {
			t.Errorf("%s: %d chains, %v", c.about, len(state.VerifiedChains), err)
		}
	}
}

// What an operator may get wrong, and what we say.
func TestProblems(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	good := a.files(t, dir, "good", leaf{names: []string{"mx.test"}})
	other := a.files(t, dir, "other", leaf{names: []string{"other.test"}})
	file := func(name string, text string) string {
		name = filepath.Join(dir, name)
		write(t, name, []byte(text))
		return name
	}
	cert, key := a.issue(t, leaf{names: []string{"mx.test"}})
	combined := file("combined.pem", string(key)+string(cert))
	for _, c := range []struct {
		about    string
		settings certs.Settings
		err      string // a part; "": none
		warning  string
	}{
		{"all is well", certs.Settings{Default: good}, "", ""},
		{"one file with both", certs.Settings{Default: certs.Source{Cert: combined}}, "", ""},
		{"another's key", certs.Settings{Default: certs.Source{Cert: good.Cert, Key: other.Key}},
			"tls.cert: the key in " + other.Key + " does not belong to the first certificate in " + good.Cert, ""},
		{"exchanged", certs.Settings{Default: certs.Source{Cert: good.Key, Key: good.Cert}}, good.Key + ` holds no certificate, but "PRIVATE KEY"`, ""},
		{"no key", certs.Settings{More: []certs.Source{{Cert: good.Cert}}}, "tls.certificates: " + good.Cert + ` holds no private key, but "CERTIFICATE"`, ""},
		{"not there", certs.Settings{Default: certs.Source{Cert: "/no/where", Key: good.Key}}, "tls.cert: /no/where is not there", ""},
		{"not to be read", certs.Settings{Default: certs.Source{Cert: "/root/only", Key: good.Key}}, "/root/only cannot be read (permission denied): let the user", ""},
		{"empty", certs.Settings{Default: certs.Source{Cert: file("empty", "\n"), Key: good.Key}}, "empty is empty", ""},
		{"DER", certs.Settings{Default: certs.Source{Cert: file("der", string(a.cert.Raw)), Key: good.Key}}, "der is not PEM: it has no line", ""},
		{"damaged", certs.Settings{Default: certs.Source{Cert: file("cut", string(cert[:len(cert)-40])), Key: good.Key}}, "cut is damaged", ""},
		{"no certificate inside", certs.Settings{Default: certs.Source{Cert: file("junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), Key: good.Key}}, "junk with the key in", ""},
		{"passphrase", certs.Settings{Default: certs.Source{Cert: good.Cert, Key: file("enc", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")}}, "enc is protected by a passphrase", ""},
		{"too large", certs.Settings{Default: certs.Source{Cert: file("big", strings.Repeat("x", 1<<20+1)), Key: good.Key}}, "big has 1048577 bytes", ""},
		{"client authorities", certs.Settings{Default: good, ClientCA: good.Key}, "tls.client_ca: " + good.Key + " holds no certificate", ""},
		{"all errors at once", certs.Settings{Default: certs.Source{Cert: "/no/1"}, ClientCA: "/no/2"}, "tls.client_ca: /no/2 is not there", ""},
		{"expired", certs.Settings{Default: a.files(t, dir, "old", leaf{names: []string{"mx.test"}, until: time.Unix(1000, 0)})}, "", "expired at 1970-01-01T00:16:40Z"},
		{"not yet valid", certs.Settings{Default: a.files(t, dir, "young", leaf{names: []string{"mx.test"}, from: time.Date(2140, 1, 1, 0, 0, 0, 0, time.UTC)})}, "", "is not valid before 2140-01-01"},
		{"another host's", certs.Settings{Default: other}, "", "no certificate is for the host's name mx.test"},
		{"no host", certs.Settings{Default: a.files(t, dir, "none", leaf{cn: "mx.test"})}, "", "names no host (subjectAltName)"},
		{"ACME without a place", certs.Settings{ACME: &certs.ACME{Names: []string{"mx.test"}}}, "tls.acme: there is no place", ""},
	} {
		c.settings.Hostname = "mx.test"
		m := certs.New(certs.Options{ReadFile: rootOnly})
		l, err := m.Load(t.Context(), c.settings)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.about, err, c.err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", c.about, err)
			continue
		}
		warnings := ""
		for _, p := range l.Problems() {
			warnings += p.Key + ": " + p.Text + "\n"
		}
		if c.warning == "" && warnings != "" || !strings.Contains(warnings, c.warning) {
			t.Errorf("%s: warnings %q, want %q", c.about, warnings, c.warning)
		}
	}
}

// rootOnly reads files as an unprivileged server would.
func rootOnly(_ context.Context, name string) ([]byte, error) {
	if strings.HasPrefix(name, "/root/") {
		return nil, fs.ErrPermission
	}
	return readFile(name)
}

func TestLoadErrorNamesItsKey(t *testing.T) {
	_, err := certs.New(certs.Options{}).Load(t.Context(), certs.Settings{Default: certs.Source{Cert: "/no/where"}})
	var le *certs.LoadError
	if !errors.As(err, &le) || le.Key != "tls.cert" {
		t.Errorf("%v", err)
	}
}

// A session that is resumed counts for no more than its certificate does now: who took its authority away has locked the
// client out.
func TestResumptionForgetsAuthoritiesTakenAway(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	old, fresh := newAuthority(t), newAuthority(t)
	ca := filepath.Join(dir, "clients.pem")
	s := certs.Settings{Hostname: "mx.test", ClientCA: ca, Default: a.files(t, dir, "c", leaf{names: []string{"mx.test"}})}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		write(t, ca, old.pem())
		m := using(t, certs.Options{}, s)
		cert, err := tls.X509KeyPair(old.issue(t, leaf{emails: []string{"alice@here.test"}}))
		if err != nil {
			t.Fatal(err)
		}
		client := &tls.Config{RootCAs: a.pool, ServerName: "mx.test", Certificates: []tls.Certificate{cert}, MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		for i := range 2 {
			state, _, err := shake(t, m.TLSConfig(certs.Login), client)
			if err != nil || len(state.VerifiedChains) != 1 || state.DidResume != (i == 1) {
				t.Fatalf("%x: handshake %d: resumed %v, %d chains, %v", version, i, state.DidResume, len(state.VerifiedChains), err)
			}
		}
		write(t, ca, fresh.pem())
		l, err := m.Load(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		m.Use(l)
		if state, _, err := shake(t, m.TLSConfig(certs.Login), client); err == nil && len(state.VerifiedChains) != 0 {
			t.Errorf("%x: resumed %v with %d chains", version, state.DidResume, len(state.VerifiedChains))
		}
	}
}
