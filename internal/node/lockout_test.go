package node

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// tryFrom logs in once by a service under TLS, and returns the answer.
func tryFrom(t testing.TB, n *Node, from, service, user, password string) string {
	t.Helper()
	c := dialFrom(t, n, from, service)
	k := (&talk{t, c, bufio.NewReader(c)}).secure()
	defer k.Close()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	switch service {
	case "submissions":
		k.until("220")
		k.say("EHLO x", "250 ")
		return k.say("AUTH PLAIN "+plain, "")
	case "imaps":
		k.until("* OK")
		return k.say(fmt.Sprintf("a LOGIN %s %s", user, password), "a ")
	}
	k.until("+OK")
	k.say("USER "+user, "+OK")
	return k.say("PASS "+password, "")
}

// TestLockout: failures count over all protocols together and end in a ban; the same wrong password counts once; an account is
// let in from where it is at home, whatever was tried there; after a restart too.
func TestLockout(t *testing.T) {
	const stranger, phone, home, scram = "127.0.0.70", "127.0.0.71", "127.0.0.72", "127.0.0.73"
	dir := t.TempDir()
	c := testConfig(t, dir, `bans.exempt_networks = ["127.0.0.1"]`, `bans.max_auth_failures = 6`, `bans.max_login_delay = "0s"`)
	n, stop := start(t, c)
	addUser(t, n, "alice", "right")
	addUser(t, n, "bob", "right")
	services := []string{"submissions", "imaps", "pop3s"}
	wrong := map[string]string{"submissions": "535 5.7.8", "imaps": "a NO [AUTHENTICATIONFAILED]", "pop3s": "-ERR [AUTH]"}
	for i := range 9 {
		s := services[i%3]
		if got := tryFrom(t, n, phone, s, "alice@here.example", "forgotten"); !strings.HasPrefix(got, wrong[s]) {
			t.Fatalf("the telephone, %d: %q", i, got)
		}
	}
	for _, s := range services {
		if got := tryFrom(t, n, home, s, "alice@here.example", "right"); !strings.HasPrefix(got, "235 ") && !strings.HasPrefix(got, "a OK") && !strings.HasPrefix(got, "+OK") {
			t.Fatalf("at home by %s: %q", s, got)
		}
	}
	for i := range 8 {
		s := services[i%3]
		if got := tryFrom(t, n, home, s, "bob@here.example", fmt.Sprint("guess", i)); i < 6 && !strings.HasPrefix(got, wrong[s]) || i >= 6 && strings.HasPrefix(got, wrong[s]) {
			t.Errorf("guess %d at bob's from alice's: %q", i, got)
		}
	}
	if list, _ := n.API().Bans(t.Context()); len(list) != 0 {
		t.Errorf("alice's home is banned: %+v", list)
	}
	if got := tryFrom(t, n, home, "imaps", "alice@here.example", "right"); !strings.HasPrefix(got, "a OK") {
		t.Errorf("alice: %q", got)
	}
	if got := tryFrom(t, n, home, "submissions", "bob@here.example", "right"); !strings.HasPrefix(got, "454 4.7.0 Too many failed logins") {
		t.Errorf("bob from alice's: %q", got)
	}
	for i := range 6 {
		s := services[i%3]
		if got := tryFrom(t, n, stranger, s, "alice@here.example", fmt.Sprint("guess", i)); !strings.HasPrefix(got, wrong[s]) && i < 5 {
			t.Errorf("guess %d: %q", i, got)
		}
	}
	banned := func() {
		t.Helper()
		line, _ := bufio.NewReader(dialFrom(t, n, stranger, "imap")).ReadString('\n')
		if !strings.HasPrefix(line, "* BYE [UNAVAILABLE] "+banText) {
			t.Errorf("the guesser: %q", line)
		}
	}
	banned()
	if v, err := n.API().CheckBan(t.Context(), stranger); err != nil || !v.Banned || v.Ban.Origin != "automatic" || v.Ban.Reason != "too many failed logins" {
		t.Errorf("%+v, %v", v, err)
	}
	stop()
	n, _ = start(t, c)
	banned()
	for i := range 7 {
		tryFrom(t, n, home, "imaps", "bob@here.example", fmt.Sprint("guess", i))
	}
	if got := tryFrom(t, n, home, "imaps", "alice@here.example", "right"); !strings.HasPrefix(got, "a OK") {
		t.Errorf("alice, who was at home before the restart: %q", got)
	}
	if err := n.API().RemoveBan(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	if got := tryFrom(t, n, stranger, "imaps", "alice@here.example", "right"); !strings.HasPrefix(got, "a OK") {
		t.Errorf("after the ban was removed: %q", got)
	}
	scramFails(t, n, scram)
}

// scramFails: SCRAM's failures count as well, each of them.
func scramFails(t *testing.T, n *Node, from string) {
	t.Helper()
	ctx := sasl.WithOrigin(t.Context(), sasl.Origin{Remote: netip.AddrPortFrom(netip.MustParseAddr(from), 1)})
	for range 6 {
		x, err := n.saslServer("imap").Start(sasl.ScramSHA256)
		if err != nil {
			t.Fatal(err)
		}
		c, err := sasl.NewClient([]string{sasl.ScramSHA256}, sasl.Credentials{Name: "alice@here.example", Password: "wrong"})
		if err != nil {
			t.Fatal(err)
		}
		response, err := c.Initial()
		for err == nil {
			var challenge []byte
			if challenge, _, err = x.Next(ctx, response); err == nil {
				response, err = c.Next(challenge)
			}
		}
	}
	if v, err := n.API().CheckBan(t.Context(), from); err != nil || !v.Banned {
		t.Errorf("SCRAM: %+v, %v", v, err)
	}
}

// TestSlowedDown: a login that has to wait ends with its connection.
func TestSlowedDown(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `bans.exempt_networks = []`, `bans.max_login_delay = "1m"`))
	ctx, cancel := context.WithCancel(sasl.WithOrigin(t.Context(), sasl.Origin{Remote: netip.MustParseAddrPort("192.0.2.1:1")}))
	for i := range 12 {
		n.triedInVain(ctx, "alice@here.example", fmt.Sprint(i))
	}
	ended := make(chan error, 1)
	go func() { ended <- n.mayTry(ctx, "alice@here.example") }()
	eventually(t, "waiting", func() bool { return n.guard.waiting.Load() == 1 })
	cancel()
	if err := <-ended; err != errLockedOut {
		t.Error(err)
	}
	if _, err := n.API().AddBan(t.Context(), admin.BanChange{Network: "198.51.100.0/24"}); err != nil {
		t.Fatal(err)
	}
	elsewhere, end := context.WithCancel(sasl.WithOrigin(t.Context(), sasl.Origin{Remote: netip.MustParseAddrPort("198.51.100.1:1")}))
	end()
	if err := n.mayTry(elsewhere, "alice@here.example"); err != errLockedOut {
		t.Errorf("banned, and let in by another server: %v", err)
	}
	n.guard.waiting.Store(guardWaiting)
	began := time.Now()
	if err := n.mayTry(ctx, "alice@here.example"); err != errLockedOut || n.guard.waiting.Load() != guardWaiting {
		t.Errorf("one too many: %v after %v", err, time.Since(began))
	}
	if err := n.mayTry(sasl.WithOrigin(t.Context(), sasl.Origin{}), "alice@here.example"); err != nil {
		t.Errorf("from nowhere: %v", err)
	}
}

// TestStrikes: sessions that are ended for too many errors end in a ban; where somebody is at home they do not.
func TestStrikes(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(), `bans.exempt_networks = ["127.0.0.1"]`, `bans.max_error_sessions = 3`, `smtp.max_errors = 2`, `pop3.max_errors = 2`))
	addUser(t, n, "alice", "right")
	if got := tryFrom(t, n, "127.0.0.72", "imaps", "alice@here.example", "right"); !strings.HasPrefix(got, "a OK") {
		t.Fatal(got)
	}
	for _, from := range []string{"127.0.0.70", "127.0.0.72"} {
		for i := range 3 {
			service, greeting, end := "smtp", "220", "421 4.7.0"
			if i == 1 {
				service, greeting, end = "pop3", "+OK", "-ERR"
			}
			k := talkFrom(t, n, from, service)
			k.until(greeting)
			k.say("NONSENSE\r\nNONSENSE\r\nNONSENSE", end)
			for k.line() != "" {
			}
		}
	}
	eventually(t, "the ban", func() bool {
		v, err := n.API().CheckBan(t.Context(), "127.0.0.70")
		return err == nil && v.Banned && v.Ban.Reason == "too many sessions with errors"
	})
	eventually(t, "the end of sessions", func() bool { return len(n.registry.list(selection{})) == 0 })
	if v, err := n.API().CheckBan(t.Context(), "127.0.0.72"); err != nil || v.Banned {
		t.Errorf("alice's home: %+v, %v", v, err)
	}
}
