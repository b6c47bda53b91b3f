package smtp

import (
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
)

// register remembers what the engine tells, and kicks who says so.
type register struct {
	mu        sync.Mutex
	connected []*Peer
	kicks     []func(string)
	ended     int
	logins    []string
	refusal   error
	seen      Activity // of the session that ended last
}

func (r *register) Connected(p *Peer, kick func(string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connected, r.kicks = append(r.connected, p), append(r.kicks, kick)
}

// kick ends the first session.
func (r *register) kick(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kicks[0](reason)
}

func (r *register) LoggedIn(p *Peer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logins = append(r.logins, p.Identity.Name+" "+p.Mechanism)
	return r.refusal
}

func (r *register) Ended(p *Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended++
	r.seen = p.Activity()
}

const plainLogin = "C-tls\nS: 220 mx.example.test ESMTP\nC: EHLO c\nS...: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN\nC: AUTH PLAIN AHVzZXIAcGVuY2ls\n"

func TestRegisterRefusesLogin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, r := &backend{}, &register{refusal: status.Temp(454, 7, 0, "Too many connections of this account")}
		s := testServer(t, "submission", b, func(c *Config) { c.Register = r })
		play(t, s, TLSImplicit, plainLogin+"S: 454 4.7.0 Too many connections of this account\n"+
			"C: MAIL FROM:<user@example.test>\nS: 530 5.7.0 Authentication required\nC: QUIT\nS: 221 2.0.0 Bye\nS-close")
		if len(r.logins) != 1 || r.logins[0] != "user@example.test PLAIN" || r.ended != 1 || len(r.connected) != 1 || !b.peers[0].Identity.IsZero() {
			t.Errorf("%+v", r)
		}
		r.refusal = nil
		play(t, s, TLSImplicit, plainLogin+"S: 235 2.7.0 Authentication successful\nC: QUIT\nS: 221 2.0.0 Bye\nS-close")
		if b.peers[1].Identity.Name != "user@example.test" || r.seen.Command != "AUTH" || r.seen.Commands != 2 || r.seen.TLS == "" {
			t.Errorf("%+v, seen %+v", b.peers[1].Identity, r.seen)
		}
	})
}

func TestKick(t *testing.T) {
	for _, c := range []struct{ name, before, after string }{
		{"at rest", "C: EHLO c\nS...: 250 STARTTLS\n", "S: 421 4.3.2 Maintenance\nS-close"},
		{"in a transaction it is cut off", "C: EHLO c\nS...: 250 STARTTLS\nC: MAIL FROM:<a@example.test>\nS: 250 2.1.0 Ok\n", "S-close"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, r := &backend{}, &register{}
				s := testServer(t, "", b, func(c *Config) { c.Register = r })
				time.AfterFunc(time.Second, func() { r.kick("Maintenance"); r.kick("again") })
				play(t, s, TLSStart, "S: 220 mx.example.test ESMTP\n"+c.before+"sleep 2s\n"+c.after)
				if b.stats[0].Reason != EndKicked || r.ended != 1 {
					t.Errorf("%+v", b.stats[0])
				}
				r.kick("too late")
				time.Sleep(time.Minute)
			})
		})
	}
}
