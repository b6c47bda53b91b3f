package node

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// httpsSets are what a configuration of the tests needs for https.
var httpsSets = [...]string{"listeners.https.enabled = true", `listeners.https.addresses = ["127.0.0.1:0"]`}

// webClient trusts the node's own authority, follows no redirection, and speaks HTTP/2 where that is offered.
func webClient(t *testing.T, n *Node) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(n.Config().DataDir, "tls", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "mail.here.example"}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// fetch gets a page; header is of lines "Name: value".
func fetch(t *testing.T, c *http.Client, url, header string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(header, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header.Add(name, value)
		}
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// The operators' pages do not exist for strangers, whatever they say about themselves; metrics.listen has them for all who
// reach it, and nothing else.
func TestOperatorsPagesAreNotPublic(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), append(httpsSets[:], `http.trusted_proxies = ["127.0.0.0/8"]`, `metrics.listen = ["127.0.0.1:0"]`)...))
	client := webClient(t, n)
	for _, c := range []struct {
		service, path, header string
		code                  int
	}{
		{"http", "/metrics", "", 200},
		{"http", "/healthz", "", 200},
		{"http", "/readyz", "", 200},
		{"https", "/metrics", "", 200},
		{"http", "/metrics", "X-Forwarded-For: 203.0.113.9", 404},
		{"https", "/readyz", "X-Forwarded-For: 203.0.113.9", 404},
		{"http", "/metrics", "X-Forwarded-For: 127.0.0.1, 203.0.113.9", 404},
		{"http", "/metrics", "X-Forwarded-For: rubbish", 404},
		{"http", "/metrics", "Forwarded: for=203.0.113.9", 404},
		{"http", "/metrics", "X-Forwarded-For: 127.0.0.1", 200},
		{"http", "/metrics", "X-Real-IP: 203.0.113.9\nX-Forwarded-Proto: https", 404},
		{"http", "/metrics", "X-Forwarded-For: 127.0.0.1\nForwarded: for=203.0.113.9", 404}, // a proxy that knows only the newer field
		{"metrics", "/metrics", "X-Forwarded-For: 203.0.113.9", 200},
		{"metrics", "/setup", "", 404},
		{"http", "/", "", 404},
	} {
		scheme := "http"
		if c.service == "https" {
			scheme = "https"
		}
		resp, _ := fetch(t, client, scheme+"://"+n.Addresses()[c.service].String()+c.path, c.header)
		if resp.StatusCode != c.code {
			t.Errorf("%s %s with %q: %d, want %d", c.service, c.path, c.header, resp.StatusCode, c.code)
		}
	}

	// A proxy that the configuration does not know makes strangers of all its clients.
	n, _ = start(t, testConfig(t, t.TempDir()))
	for header, code := range map[string]int{"": 200, "X-Forwarded-For: 127.0.0.1": 404, "Via: 1.1 proxy": 404, "X-Real-IP: 127.0.0.1": 404} {
		if resp, _ := fetch(t, client, "http://"+n.Addresses()["http"].String()+"/metrics", header); resp.StatusCode != code {
			t.Errorf("no proxy known, %q: %d, want %d", header, resp.StatusCode, code)
		}
	}
}

func TestSetupPages(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), append(httpsSets[:], `http.trusted_proxies = ["127.0.0.0/8"]`)...))
	addUser(t, n, "alice", "secret word")
	client := webClient(t, n)
	plain, secure := "http://"+n.Addresses()["http"].String(), "https://"+n.Addresses()["https"].String()
	imaps := fmt.Sprintf("<port>%d</port>", n.Addresses()["imaps"].Port())
	local := fmt.Sprintf("https://localhost:%d", n.Addresses()["https"].Port())
	for _, c := range []struct {
		url, header string
		code        int
		want        string
	}{
		{plain + "/mail/config-v1.1.xml?emailaddress=alice@here.example", "", 200, imaps},
		{secure + "/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=nobody@here.example", "", 200, imaps},
		{plain + "/mail/config-v1.1.xml?emailaddress=alice@elsewhere.example", "", 404, ""},
		{plain + "/mail/config-v1.1.xml", "X-Forwarded-For: 203.0.113.9\nX-Forwarded-Host: autoconfig.here.example", 200, imaps},
		{plain + "/setup", "", 302, local + "/setup"},
		{plain + "/setup", "X-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: https", 200, "Mail settings"},
		{secure + "/setup", "X-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: http", 302, local + "/setup"},
		{secure + "/setup?address=alice@here.example", "", 200, "<b>alice@here.example</b>"},
		{secure + "/.well-known/acme-challenge/x", "", 404, ""},
	} {
		resp, body := fetch(t, client, c.url, c.header)
		if resp.StatusCode == 302 {
			body = resp.Header.Get("Location")
		}
		if resp.StatusCode != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d, want %d with %q:\n%s", c.url, resp.StatusCode, c.code, c.want, body)
		}
		if h := resp.Header; h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: header %v", c.url, h)
		}
		if strings.HasPrefix(c.url, secure) && resp.ProtoMajor != 2 {
			t.Errorf("%s: %s", c.url, resp.Proto)
		}
	}
	s, err := n.API().Setup(t.Context(), "alice@here.example")
	if err != nil || len(s.Services) == 0 || s.Services[0].Security != "SSL/TLS" || s.ProfileURL != local+"/profile.mobileconfig?addresses=alice@here.example" {
		t.Errorf("%v %+v", err, s)
	}
	if _, err := n.API().Setup(t.Context(), "nobody@here.example"); err == nil {
		t.Error("set-up of an account that is not there")
	}
}

// What [setup] says goes before the listeners.
func TestSetupAsConfigured(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `setup.url = "https://webmail.here.example"`, `setup.imaps = "imap.here.example:993"`, `setup.imap = "none"`,
		`setup.submissions = "none"`, `setup.submission = "smtp.here.example:2587"`, `setup.pop3 = "none"`, `setup.pop3s = "none"`))
	addUser(t, n, "alice", "secret word")
	s, err := n.API().Setup(t.Context(), "alice@here.example")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(s.Services, s.PageURL)
	if want := "[{imap imap.here.example 993 SSL/TLS} {smtp smtp.here.example 2587 STARTTLS}] https://webmail.here.example/setup?address=alice@here.example"; strings.ReplaceAll(got, "]http", "] http") != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	off, _ := start(t, testConfig(t, t.TempDir(), "setup.enabled = false"))
	if resp, _ := fetch(t, webClient(t, off), "http://"+off.Addresses()["http"].String()+"/mail/config-v1.1.xml?emailaddress=a@here.example", ""); resp.StatusCode != 404 {
		t.Errorf("switched off: %d", resp.StatusCode)
	}
}

// Nobody takes more than his share: header, body, connections.
func TestHTTPBounds(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), "http.max_connections = 3"))
	addr := n.Addresses()["http"].String()
	client := webClient(t, n)
	if resp, _ := fetch(t, client, "http://"+addr+"/setup", "X-Long: "+strings.Repeat("x", 40<<10)); resp.StatusCode != 431 {
		t.Errorf("a header of 40 KiB: %d", resp.StatusCode)
	}
	resp, err := client.Post("http://"+addr+"/autodiscover/autodiscover.xml", "text/xml", strings.NewReader(strings.Repeat("x", 1<<20)))
	if err == nil {
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !strings.Contains(string(body), "<ErrorCode>600</ErrorCode>") {
			t.Errorf("a body of 1 MiB: %s %s", resp.Status, body)
		}
	}
	client.CloseIdleConnections()
	var conns []net.Conn
	for range 6 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	served := 0
	for _, conn := range conns {
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = fmt.Fprintf(conn, "GET /setup HTTP/1.1\r\nHost: x\r\n\r\n")
		if line, _ := bufio.NewReader(conn).ReadString('\n'); strings.HasPrefix(line, "HTTP/1.1 ") {
			served++
		}
	}
	if served == 0 || served > 3 {
		t.Errorf("%d of 6 connections served, with 3 allowed", served)
	}
}

// One host cannot take all connections; a trusted proxy can, which speaks for many.
func TestHTTPConnectionsOfOneAddress(t *testing.T) {
	const most, tried = 40, 15
	for trusted, want := range map[string]int{"192.0.2.0/24": 10, "127.0.0.0/8": tried} {
		n, _ := start(t, testConfig(t, t.TempDir(), fmt.Sprintf("http.max_connections = %d", most), fmt.Sprintf("http.trusted_proxies = [%q]", trusted)))
		served := 0
		for range tried {
			conn, err := net.Dial("tcp", n.Addresses()["http"].String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = fmt.Fprintf(conn, "GET /setup HTTP/1.1\r\nHost: x\r\n\r\n")
			if line, _ := bufio.NewReader(conn).ReadString('\n'); strings.HasPrefix(line, "HTTP/1.1 ") {
				served++
			}
		}
		if served != want {
			t.Errorf("trusted %s: %d of %d served, want %d", trusted, served, tried, want)
		}
	}
}
