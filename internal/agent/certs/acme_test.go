package certs_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"github.com/postrider/postrider/internal/agent/certs"
)

// An authority that accepts connections and says nothing holds up neither the end nor a reload.
func TestCloseDoesNotWaitForASilentAuthority(t *testing.T) {
	for about, obtained := range map[string]bool{"obtaining": false, "asking when to renew": true} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			asked, silence := make(chan bool, 100), make(chan bool)
			ca := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				asked <- true
				<-silence
			}))
			defer ca.Close()
			defer close(silence)
			// Not t.TempDir: what is left behind by Close may write a last file while the folder is removed.
			dir, err := os.MkdirTemp("", "silent-authority-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			storage := &certmagic.FileStorage{Path: dir}
			if obtained {
				obtainedBefore(t, storage, ca.URL, "mx.test")
			}
			m := using(t, certs.Options{Storage: storage, RenewCheck: 10 * time.Millisecond}, certs.Settings{Hostname: "mx.test",
				ACME: &certs.ACME{Directory: ca.URL, Names: []string{"mx.test"}, Challenges: []string{"http-01"}}})
			m.Start()
			<-asked
			closed := make(chan bool)
			go func() {
				m.Close()
				close(closed)
			}()
			select {
			case <-closed:
			case <-time.After(20 * time.Second):
				t.Error("Close waits for the authority")
			}
		})
	}
}

// obtainedBefore puts a certificate into a storage of which the authority is to be asked when to renew it.
func obtainedBefore(t *testing.T, storage certmagic.Storage, ca, name string) {
	t.Helper()
	now := time.Now()
	cert, key := newAuthority(t).issue(t, leaf{names: []string{name}, from: now.Add(-time.Hour)})
	info := acme.RenewalInfo{UniqueIdentifier: "a.b", SelectedTime: now.AddDate(1, 0, 1), RetryAfter: &now}
	info.SuggestedWindow.Start, info.SuggestedWindow.End = now.AddDate(1, 0, 0), now.AddDate(1, 0, 2)
	data, err := json.Marshal(acme.Certificate{CA: ca, RenewalInfo: &info})
	if err != nil {
		t.Fatal(err)
	}
	meta, err := json.Marshal(certmagic.CertificateResource{SANs: []string{name}, IssuerData: data})
	if err != nil {
		t.Fatal(err)
	}
	issuer := (&certmagic.ACMEIssuer{CA: ca}).IssuerKey()
	for item, text := range map[string][]byte{certmagic.StorageKeys.SiteCert(issuer, name): cert,
		certmagic.StorageKeys.SitePrivateKey(issuer, name): key, certmagic.StorageKeys.SiteMeta(issuer, name): meta} {
		if err := storage.Store(t.Context(), item, text); err != nil {
			t.Fatal(err)
		}
	}
}

// What anybody can ask for is not worth a line of the log.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	var log logged
	a := newAuthority(t)
	m := using(t, certs.Options{Storage: &certmagic.FileStorage{Path: t.TempDir()}, Log: log.logger()}, certs.Settings{Hostname: "mx.test",
		Default: a.files(t, t.TempDir(), "c", leaf{names: []string{"mx.test"}}),
		ACME:    &certs.ACME{Directory: "https://127.0.0.1:1/", Names: []string{"mx.test"}, Challenges: []string{"http-01", "tls-alpn-01"}}})
	m.Start()
	defer m.Close()
	for _, name := range []string{"mx.test", "other.test", ""} {
		client := &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: []string{"acme-tls/1"}}
		if _, _, err := shake(t, m.TLSConfig(certs.Web), client); err == nil {
			t.Errorf("%q: a challenge was answered that nobody has asked for", name)
		}
	}
	for _, host := range []string{"mx.test", "", "..", strings.Repeat("x", 5000)} {
		r := httptest.NewRequest("GET", "http://mx.test/.well-known/acme-challenge/x", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if m.HTTPChallenge(http.NotFoundHandler()).ServeHTTP(w, r); w.Code != http.StatusNotFound {
			t.Errorf("%.20q: %d", host, w.Code)
		}
	}
	if s := log.String(); s != "" {
		t.Errorf("in the log:\n%.2000s", s)
	}
}
