package node

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/flow"
)

// dialFrom connects from another address of loopback.
func dialFrom(t testing.TB, n *Node, from, service string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", n.Addresses()[service].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBansOfEveryService: who is banned reads the protocol's refusal in the greeting's place, or nothing where TLS or HTTP would
// come first; others do not notice; a ban outlives the server, its end does not.
func TestBansOfEveryService(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(t, dir, `bans.exempt_networks = ["127.0.0.1"]`)
	n, stop := start(t, config)
	old := dialFrom(t, n, "127.0.0.67", "imap")
	if _, err := old.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for network, seconds := range map[string]int64{"127.0.0.64/28": 3600, "127.0.0.80/32": 0} {
		if _, err := n.API().AddBan(t.Context(), admin.BanChange{Network: network, Seconds: seconds, Reason: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	if rest, err := io.ReadAll(old); err != nil || !strings.Contains(string(rest), "* BYE "+banText) {
		t.Errorf("a session that was there: %q, %v", rest, err)
	}
	refusals := func() {
		t.Helper()
		for _, c := range []struct{ from, service, want string }{
			{"127.0.0.66", "smtp", "421 4.7.0 mail.here.example " + banText + "\r\n"},
			{"127.0.0.66", "submission", "421 4.7.0 mail.here.example " + banText + "\r\n"},
			{"127.0.0.66", "lmtp", "421 4.7.0 mail.here.example " + banText + "\r\n"},
			{"127.0.0.66", "imap", "* BYE [UNAVAILABLE] " + banText + "\r\n"},
			{"127.0.0.66", "pop3", "-ERR [SYS/TEMP] " + banText + "\r\n"},
			{"127.0.0.66", "imaps", ""}, {"127.0.0.66", "pop3s", ""}, {"127.0.0.66", "submissions", ""}, {"127.0.0.66", "http", ""},
			{"127.0.0.80", "smtp", "554 5.7.1 mail.here.example " + banTextGood + "\r\n"},
			{"127.0.0.80", "imap", "* BYE [CONTACTADMIN] " + banTextGood + "\r\n"},
			{"127.0.0.80", "pop3", "-ERR [SYS/PERM] " + banTextGood + "\r\n"},
		} {
			if got, err := io.ReadAll(dialFrom(t, n, c.from, c.service)); err != nil || string(got) != c.want {
				t.Errorf("%s from %s: %q, %v; want %q", c.service, c.from, got, err, c.want)
			}
		}
		dialTalk(t, n, "smtp").until("220")
		dialTalk(t, n, "imap").until("* OK")
	}
	refusals()
	stop()
	n, _ = start(t, config)
	refusals()

	if v, err := n.API().CheckBan(t.Context(), "127.0.0.66"); err != nil || !v.Banned || v.Ban.Network != "127.0.0.64/28" || v.Ban.Reason != "test" {
		t.Errorf("%+v, %v", v, err)
	}
	if v, err := n.API().CheckBan(t.Context(), "127.0.0.1"); err != nil || v.Banned || v.Exempt != "bans.exempt_networks" {
		t.Errorf("%+v, %v", v, err)
	}
	for network, want := range map[string]admin.Kind{"127.0.0.65": admin.NotFound, "127.0.0.65/28": admin.Invalid, "rubbish": admin.Invalid, "192.0.2.1": admin.NotFound} {
		if err := n.API().RemoveBan(t.Context(), network); admin.KindOf(err) != want {
			t.Errorf("remove %s: %v", network, err)
		}
	}
	if _, err := n.API().AddBan(t.Context(), admin.BanChange{Network: "127.0.0.1"}); admin.KindOf(err) != admin.Invalid || !strings.Contains(err.Error(), "bans.exempt_networks") {
		t.Errorf("ban of the exempt: %v", err)
	}
	if err := n.API().RemoveBan(t.Context(), "127.0.0.64/28"); err != nil {
		t.Error(err)
	}
	if list, err := n.API().Bans(t.Context()); err != nil || len(list) != 1 || list[0].Network != "127.0.0.80" || list[0].Until != nil {
		t.Errorf("%+v, %v", list, err)
	}
	if b, err := io.ReadAll(io.LimitReader(dialFrom(t, n, "127.0.0.66", "smtp"), 3)); err != nil || string(b) != "220" {
		t.Errorf("let in again: %q, %v", b, err)
	}
}

// TestAutomaticBans: they end sessions that have not logged in, never touch who is exempt, and end by themselves.
func TestAutomaticBans(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `bans.exempt_networks = ["127.0.0.0/26"]`))
	in := dialFrom(t, n, "127.0.0.70", "smtp")
	if _, err := in.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	n.ban(netip.MustParsePrefix("127.0.0.1/32"), "exempt", time.Hour)
	n.ban(netip.MustParsePrefix("127.0.0.0/24"), "partly exempt", time.Hour)
	n.ban(netip.Prefix{}, "nobody", time.Hour)
	n.ban(netip.MustParsePrefix("172.17.0.1/32"), "a gateway", time.Hour)
	n.ban(netip.MustParsePrefix("fd00::/64"), "private", time.Hour)
	if list, _ := n.API().Bans(t.Context()); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	n.ban(netip.MustParsePrefix("127.0.0.70/32"), "early talker", time.Hour)
	if rest, err := io.ReadAll(in); err != nil && !errors.Is(err, net.ErrClosed) || !strings.Contains(string(rest), "421 ") {
		t.Errorf("%q, %v", rest, err)
	}
	if b, err := io.ReadAll(dialFrom(t, n, "127.0.0.70", "pop3")); err != nil || !strings.HasPrefix(string(b), "-ERR [SYS/TEMP]") {
		t.Errorf("%q, %v", b, err)
	}
	said := ""
	conn := &gate.Conn{Client: flow.Client{Addr: netip.MustParseAddrPort("127.0.0.70:1")}, Dry: true, Note: func(n gate.Note) { said = n.Rule }}
	if _, err := n.gates(n.config.Load(), "smtp").Connect(t.Context(), conn); err == nil || said != "ban 127.0.0.70" {
		t.Errorf("only thought of: %v, by %q", err, said)
	}
	c := tls.Client(dialFrom(t, n, "127.0.0.70", "imaps"), &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err == nil {
		t.Error("a handshake with the banned")
	}
	n.ban(netip.MustParsePrefix("127.0.0.71/32"), "brief", time.Nanosecond)
	eventually(t, "its end", func() bool {
		v, err := n.API().CheckBan(t.Context(), "127.0.0.71")
		return err == nil && !v.Banned
	})
}
