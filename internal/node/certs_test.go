package node

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// shownOn is the serial number of the certificate that each TLS service shows for a name.
func shownOn(t *testing.T, n *Node, name string) string {
	t.Helper()
	all := ""
	for _, service := range []string{"submissions", "imaps", "pop3s"} {
		c, err := tls.Dial("tcp", n.Addresses()[service].String(), &tls.Config{InsecureSkipVerify: true, ServerName: name})
		if err != nil {
			t.Fatal(service, err)
		}
		s := c.ConnectionState()
		if s.CurveID != tls.X25519MLKEM768 {
			t.Errorf("%s: keys by %v", service, s.CurveID)
		}
		all += s.PeerCertificates[0].SerialNumber.String() + " "
		_ = c.Close()
	}
	for _, service := range []string{"smtp", "submission"} {
		k := dialTalk(t, n, service)
		k.until("220")
		k.say("EHLO client.example", "250 ")
		k.say("STARTTLS", "220")
		c := tls.Client(k.Conn, &tls.Config{InsecureSkipVerify: true, ServerName: name})
		if err := c.Handshake(); err != nil {
			t.Fatal(service, err)
		}
		all += c.ConnectionState().PeerCertificates[0].SerialNumber.String() + " "
		_ = c.Close()
	}
	first, _, _ := strings.Cut(all, " ")
	if all != strings.Repeat(first+" ", 5) {
		t.Errorf("services show different certificates: %s", all)
	}
	return first
}

func TestCertificatesOfAllServices(t *testing.T) {
	dir, files := t.TempDir(), t.TempDir()
	for _, name := range []string{"one", "two"} {
		if err := MakeCertificates(filepath.Join(files, name), name+".example", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	named := func(key string, name string) string {
		return fmt.Sprintf(key, filepath.Join(files, name, "cert.pem"), filepath.Join(files, name, "key.pem"))
	}
	sets := []string{named("tls.cert = %q\ntls.key = %q", "one")}
	with := func(more ...string) *config.Config {
		return testConfig(t, dir, append(strings.Split(sets[0], "\n"), more...)...)
	}
	n, _ := start(t, with())
	one := shownOn(t, n, "one.example")
	if got := shownOn(t, n, "two.example"); got != one {
		t.Error("a name that nobody knows does not get the default")
	}
	if _, err := n.Reload(with(named(`tls.certificates = ["%s %s"]`, "two"))); err != nil {
		t.Fatal(err)
	}
	two := shownOn(t, n, "two.example")
	if two == one || shownOn(t, n, "") != one {
		t.Error("after the reload the second name does not have its certificate, or the default is another")
	}
	// A reload that names something broken changes nothing.
	junk := filepath.Join(files, "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Reload(with(fmt.Sprintf("tls.certificates = [%q]", junk))); err == nil || !strings.Contains(err.Error(), "tls.certificates: "+junk+" is not PEM") {
		t.Errorf("a broken file: %v", err)
	}
	if shownOn(t, n, "two.example") != two {
		t.Error("the broken reload has changed something")
	}
	r, err := http.Get("http://" + n.Addresses()["http"].String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(text), `postrider_tls_certificate_expiry_seconds{name="two.example"} 3.15`) {
		t.Errorf("the metric is missing: %v", err)
	}
	s, err := n.API().Status(t.Context())
	if err != nil || len(s.Certificates) != 2 || s.Certificates[1].Names[0] != "two.example" {
		t.Errorf("status: %+v, %v", s.Certificates, err)
	}
}
