package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/directory"
)

// submitAlice sends as alice, through the submission port.
func submitAlice(t testing.TB, n *Node, to, message string) {
	t.Helper()
	c, err := smtp.Dial(n.Addresses()["submission"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = errors.Join(c.StartTLS(&tls.Config{InsecureSkipVerify: true}), c.Auth(smtp.PlainAuth("", "alice@here.example", "pw", "127.0.0.1")),
		c.Mail("alice@here.example"), c.Rcpt(to))
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(w, message)
	if err := errors.Join(err, w.Close(), c.Quit()); err != nil {
		t.Fatal(err)
	}
}

// Two whole systems and a DNS of their own: mail goes out by TLS and arrives; what is refused there comes
// back with the remote's words.
func TestMailLeavesAndBouncesReturn(t *testing.T) {
	there, _ := start(t, testConfig(t, t.TempDir(), `domain = "there.example"`, `hostname = "mx.there.example"`))
	dns := dnstest.New(t, "there.example. 60 IN MX 10 mx.there.example.\nmx.there.example. 60 IN A 127.0.0.1\n"+
		"loop.example. 60 IN MX 10 mail.here.example.\nmail.here.example. 60 IN A 127.0.0.2\nnull.example. 60 IN MX 0 .\n").Listen(t)
	port := there.Addresses()["smtp"].Port()
	here, _ := start(t, testConfig(t, t.TempDir(), fmt.Sprintf("dns.resolvers = [%q]", dns), fmt.Sprintf("mta.port = %d", port),
		fmt.Sprintf(`listeners.smtp.addresses = ["127.0.0.2:%d"]`, port)))
	addUser(t, here, "alice", "pw")

	if _, err := there.addAccount(t.Context(), directory.NewAccount{Address: address.Address{Local: "bob", Domain: "there.example"}, Password: "pw"}); err != nil {
		t.Fatal(err)
	}
	submitAlice(t, here, "bob@there.example", "Subject: out\r\n\r\nover the wire\r\n")
	bob := login(t, there, "bob@there.example", "pw")
	arrived(t, bob, "INBOX", 1)
	if got := string(bodyOf(t, bob, 1)); !strings.Contains(got, "SMTPS id ") || !strings.HasSuffix(got, "\r\n\r\nover the wire\r\n") {
		t.Errorf("%s", got)
	}

	c := login(t, here, "alice@here.example", "pw")
	for i, b := range []struct{ to, want string }{
		{"nobody@there.example", "Remote-MTA: dns; mx.there.example"},
		{"x@loop.example", "Status: 5.4.6"},
		{"x@null.example", "Status: 5.1.10"},
		{"x@nowhere.example", "Status: 5.1.2"},
	} {
		submitAlice(t, here, b.to, "Subject: back\r\nMessage-ID: <"+b.to+">\r\n\r\nunwanted\r\n")
		arrived(t, c, "INBOX", uint32(i+1))
		got := string(bodyOf(t, c, uint32(i+1)))
		for _, want := range []string{b.want, "Final-Recipient: rfc822; " + b.to, "Return-Path: <>", "\r\nunwanted\r\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", b.to, want, got)
			}
		}
	}
}

func TestOwnAddress(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `listeners.smtp.addresses = ["127.0.0.1:0", ":0"]`))
	var ports []uint16
	for _, l := range n.services.listeners {
		if l.service == "smtp" {
			ports = append(ports, netip.MustParseAddrPort(l.Addr().String()).Port())
		}
	}
	for _, c := range []struct {
		addr string
		port uint16
		want bool
	}{
		{"127.0.0.1", ports[0], true}, {"127.0.0.2", ports[0], false}, {"127.0.0.1", n.Addresses()["submission"].Port(), false},
		{"127.0.0.1", ports[1], true}, {"127.0.0.9", ports[1], true}, {"::1", ports[1], true}, {"192.0.2.1", ports[1], false},
	} {
		if got := n.own(netip.AddrPortFrom(netip.MustParseAddr(c.addr), c.port)); got != c.want {
			t.Errorf("%s:%d: %v", c.addr, c.port, got)
		}
	}
}

// A configuration whose files cannot be read changes nothing.
func TestOutgoingFilesAreNeeded(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{`tls.ca = "/nowhere/ca.pem"`, fmt.Sprintf("tls.ca = %q", empty), `mta.smart_host.password_file = "/nowhere/password"`} {
		c := *n.Config()
		changed, err := config.Load("", []string{fmt.Sprintf("data_dir = %q", c.DataDir), `hostname = "mail.here.example"`, set})
		if err != nil {
			continue // refused even earlier
		}
		if _, err := n.Reload(changed); err == nil {
			t.Errorf("%s was taken", set)
		}
	}
}
