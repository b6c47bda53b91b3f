package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/obs"
	limitstore "github.com/postrider/postrider/internal/state/limits"
	"github.com/postrider/postrider/internal/wire/sasl"
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
	n, _ := start(t, testConfig(t, t.TempDir(), `bans.exempt_networks = ["127.0.0.0/26"]`, "listeners.auth.enabled = true", `listeners.auth.addresses = ["127.0.0.1:0"]`,
		`edges.auth_networks = ["198.51.100.1"]`,
		`filters.reinject_networks = ["198.51.100.2"]`))
	in := dialFrom(t, n, "127.0.0.70", "smtp")
	if _, err := in.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	n.ban(netip.MustParsePrefix("127.0.0.1/32"), "exempt", time.Hour)
	n.ban(netip.MustParsePrefix("127.0.0.0/24"), "partly exempt", time.Hour)
	n.ban(netip.Prefix{}, "nobody", time.Hour)
	n.ban(netip.MustParsePrefix("198.51.100.1/32"), "a server of ours", time.Hour)
	n.ban(netip.MustParsePrefix("198.51.100.2/32"), "a filter of ours", time.Hour)
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

// TestBansOfRareServices: a listener that is off as shipped turns the banned away as well, and goes on.
func TestBansOfRareServices(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `bans.exempt_networks = ["127.0.0.1"]`, "listeners.auth.enabled = true", `listeners.auth.addresses = ["127.0.0.1:0"]`,
		"edges.auth_networks = []", `filters.reinject_networks = ["127.0.0.1/32"]`, "listeners.reinject.enabled = true", `listeners.reinject.addresses = ["127.0.0.1:0"]`))
	n.ban(netip.MustParsePrefix("127.0.0.70/32"), "test", time.Hour)
	for _, service := range []string{"auth", "reinject"} {
		for range 2 {
			if got, err := io.ReadAll(dialFrom(t, n, "127.0.0.70", service)); err != nil || string(got) != "" {
				t.Errorf("%s: %q, %v", service, got, err)
			}
		}
	}
}

// TestBanWritten: what an operator asks for is in the database when he is answered, whoever else is about to write it.
func TestBanWritten(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	done := make(chan struct{})
	defer func() { <-done }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = n.bans.flush(ctx)
		}
	}()
	for i := range 100 {
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)
		if _, err := n.API().AddBan(t.Context(), admin.BanChange{Network: network.String()}); err != nil {
			t.Fatal(err)
		}
		if list, _, err := n.bans.store.Bans(t.Context()); err != nil || !slices.ContainsFunc(list, func(b limitstore.Ban) bool { return b.Network == network }) {
			t.Fatalf("ban %d is not written: %v", i, err)
		}
		if err := n.API().RemoveBan(t.Context(), network.String()); err != nil {
			t.Fatal(err)
		}
		if list, _, err := n.bans.store.Bans(t.Context()); err != nil || len(list) > 0 {
			t.Fatalf("the end of ban %d is not written: %+v, %v", i, list, err)
		}
	}
}

// TestUnban: an operator lets in again who is locked out without a ban; and who was banned begins with a clean sheet.
func TestUnban(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `bans.exempt_networks = ["127.0.0.1"]`, `bans.max_auth_failures = 3`, `bans.max_error_sessions = 3`, `bans.max_login_delay = "0s"`))
	from := netip.MustParseAddr("10.0.0.7") // private: it is never banned
	ctx := sasl.WithOrigin(t.Context(), sasl.Origin{Remote: netip.AddrPortFrom(from, 1)})
	for i := range 3 {
		n.triedInVain(ctx, "alice@here.example", fmt.Sprint(i))
	}
	if err := n.mayTry(ctx, "alice@here.example"); err != errLockedOut {
		t.Fatal(err)
	}
	if err := n.API().RemoveBan(t.Context(), from.String()); err != nil {
		t.Errorf("who is locked out: %v", err)
	}
	if err := n.mayTry(ctx, "alice@here.example"); err != nil {
		t.Errorf("let in again: %v", err)
	}
	if err := n.API().RemoveBan(t.Context(), from.String()); admin.KindOf(err) != admin.NotFound {
		t.Errorf("once more: %v", err)
	}
	client := netip.MustParseAddrPort("198.51.100.7:1")
	for range 3 {
		strikes{n}.Emit(obs.Disconnect{Peer: obs.Peer{Addr: client}, Reason: tooManyErrors})
	}
	if err := n.API().RemoveBan(t.Context(), "198.51.100.7"); err != nil {
		t.Fatal(err)
	}
	strikes{n}.Emit(obs.Disconnect{Peer: obs.Peer{Addr: client}, Reason: tooManyErrors})
	if _, banned := n.banned(client.Addr()); banned {
		t.Error("one error more bans again")
	}
}

// TestScreenedBans: who fails the tests before the greeting again and again is banned, where the operator wants that.
func TestScreenedBans(t *testing.T) {
	for _, c := range []struct {
		what obs.ScreenWord
		set  string
		bans bool
	}{{obs.ScreenPregreet, "bans.max_pregreet_sessions = 2", true}, {obs.ScreenDNSBL, "bans.max_dnsbl_sessions = 2", true},
		{obs.ScreenDNSBL, "bans.max_pregreet_sessions = 2", false}, {obs.ScreenListed, "bans.max_dnsbl_sessions = 2", false}} {
		t.Run(string(c.what)+" "+c.set, func(t *testing.T) {
			n, _ := start(t, testConfig(t, t.TempDir(), c.set))
			for i, banned := range []bool{false, c.bans} {
				n.events.Emit(obs.Screened{Peer: obs.Peer{Service: "smtp", Addr: netip.MustParseAddrPort("198.51.100.7:1")}, What: c.what})
				if v, err := n.API().CheckBan(t.Context(), "198.51.100.7"); err != nil || v.Banned != banned {
					t.Errorf("after %d: %+v, %v", i+1, v, err)
				}
			}
		})
	}
}
