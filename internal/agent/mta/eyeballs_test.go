package mta

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/test/dialogue"
)

const six = "[2001:db8::1]:25"

// TestBothFamilies: the other family of the same host is tried a quarter of a second later, or when the first has failed.
func TestBothFamilies(t *testing.T) {
	silent := &script{reply: map[string]string{"connect": "silent"}}
	grey := &script{reply: map[string]string{"RCPT": "450 4.2.0 later"}}
	shut := &script{reply: map[string]string{"greeting": "421 4.3.2 busy|close"}}
	const viaSix, viaFour = "relayed 2.0.0 one.example[2001:db8::1]:25", "relayed 2.0.0 one.example[192.0.2.1]:25"
	for _, c := range []struct {
		name      string
		six, four *script
		want      string
		after     time.Duration
		log       string
	}{
		{name: "both are well", six: &script{}, four: &script{}, want: viaSix, log: "connect " + six},
		{name: "no IPv6 answers", six: silent, four: &script{}, want: viaFour, after: stagger, log: "connect " + six + " connect " + one},
		{name: "IPv6 is refused", four: &script{}, want: viaFour, log: "connect " + six + " connect " + one},
		{name: "IPv6 takes nobody now", six: shut, four: &script{}, want: viaFour, log: "connect " + six + " connect " + one},
		{name: "greylisted on both", six: grey, four: grey, want: "deferred 4.2.0 one.example[192.0.2.1]:25", log: "connect " + six + " connect " + one},
		{name: "no answer at all", six: silent, four: silent, want: "deferred 4.4.1 none", after: 30 * time.Second, log: "connect " + six + " connect " + one},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{servers: map[string]*script{six: c.six, one: c.four}}
				w.zone.ip = map[string][]string{"example.com": {"192.0.2.1", "2001:db8::1"}}
				w.zone.mx = map[string][]dns.MX{"example.com": {{Host: "one.example"}}}
				w.zone.ip["one.example"] = w.zone.ip["example.com"]
				a := start(t, w, nil)
				begin := time.Now()
				got := deliver(t, a, task("b@example.com"))[0]
				if !strings.HasPrefix(got, c.want) {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				if d := time.Since(begin); d != c.after {
					t.Errorf("after %s", d)
				}
				var connects []string
				for _, s := range w.log {
					if strings.HasPrefix(s, "connect") {
						connects = append(connects, s)
					}
				}
				if got := strings.Join(connects, " "); got != c.log {
					t.Error(got)
				}
			})
		})
	}
}

// A connection that comes second is closed, and nobody waits for it.
func TestSecondConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{servers: map[string]*script{six: {}, one: {}}}
		w.zone.ip = map[string][]string{"example.com": {"192.0.2.1", "2001:db8::1"}}
		a := start(t, w, func(_ *Settings, o *Options) {
			dial := o.Dial
			o.Dial = func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
				time.Sleep(map[bool]time.Duration{true: 400 * time.Millisecond, false: 150 * time.Millisecond}[to.Addr().Is6()])
				c, err := dial(ctx, from, to) // both stand after 400 ms
				return c, err
			}
		})
		if got := deliver(t, a, task("b@example.com"))[0]; !strings.HasPrefix(got, "relayed") {
			t.Error(got)
		}
		a.Close()
		w.wait.Wait() // until both are closed
		if w.said("connect") != 2 || w.said("EHLO") != 1 || w.said("MAIL") != 1 {
			t.Errorf("%q", w.log)
		}
	})
}

// Mail that requires TLS goes only where a verified host promises as much, and comes back otherwise.
func TestRequireTLS(t *testing.T) {
	good, client := dialogue.TLS(t, "one.example")
	other, _ := dialogue.TLS(t, "two.example")
	domain, domainRoots := dialogue.TLS(t, "example.com")
	promise := []string{"REQUIRETLS", "PIPELINING"}
	for _, c := range []struct {
		name   string
		server *script
		roots  bool // the domain's
		plain  bool // no DNSSEC
		via    string
		maps   string // smtp_tls_policy_maps
		want   string
		mail   bool
	}{
		{name: "verified, promised", server: &script{tls: good, ext: promise}, want: sentOne, mail: true},
		{name: "no promise", server: &script{tls: good}, want: "failed 5.7.30 one.example[192.0.2.1]:25: The sender requires TLS on the whole way"},
		{name: "no TLS", server: &script{ext: promise}, want: "failed 5.7.30 one.example[192.0.2.1]:25: TLS is required, and"},
		{name: "another's certificate", server: &script{tls: other, ext: promise}, want: "failed 5.7.30 one.example[192.0.2.1]:25: the connection"},
		{name: "TLS is out of order", server: &script{tls: good, ext: promise, reply: map[string]string{"STARTTLS": "454 4.7.0 not now"}},
			want: "deferred 4.7.0 one.example[192.0.2.1]:25: 454"},
		{name: "nobody vouches for the exchanger", server: &script{tls: good, ext: promise}, plain: true, want: "failed 5.7.30"},
		{name: "nobody vouches, but it is the domain's certificate", server: &script{tls: domain, ext: promise}, plain: true, roots: true, want: sentOne, mail: true},
		{name: "nobody vouches, verify", server: &script{tls: good, ext: promise}, plain: true, maps: "{example.com=verify}", want: "failed 5.7.30"},
		{name: "nobody vouches, verify, the domain's certificate", server: &script{tls: domain, ext: promise}, plain: true, roots: true, maps: "{example.com=verify}", want: sentOne, mail: true},
		{name: "nobody vouches, the host or the domain", server: &script{tls: good, ext: promise}, plain: true,
			maps: "{{example.com=verify match=hostname:nexthop}}", want: "failed 5.7.30"},
		{name: "nobody vouches, but we name the host", server: &script{tls: good, ext: promise}, plain: true,
			maps: "{{example.com=verify match=hostname:one.example}}", want: sentOne, mail: true},
		{name: "vouched, verify", server: &script{tls: good, ext: promise}, maps: "{example.com=verify}", want: sentOne, mail: true},
		{name: "a relay of ours that does not promise", server: &script{tls: good}, via: "[one.example]", want: "failed 5.7.30"},
		{name: "a relay of ours that does", server: &script{tls: good, ext: promise}, via: "[one.example]", plain: true, want: sentOne, mail: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts(), servers: map[string]*script{one: c.server}}
				w.zone.mx["example.com"] = w.zone.mx["example.com"][:1]
				w.zone.authentic = !c.plain
				a := start(t, w, func(s *Settings, _ *Options) {
					if s.RootCAs = client.RootCAs; c.roots {
						s.RootCAs = domainRoots.RootCAs
					}
					if c.maps != "" {
						s.PolicyMaps = inline(t, c.maps)
					}
				})
				tk := task("b@example.com")
				tk.Job.RequireTLS = true
				if c.via != "" {
					via(tk, flow.SMTP, c.via)
				}
				if got := deliver(t, a, tk)[0]; !strings.HasPrefix(got, c.want) {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				if (w.said("MAIL FROM:<a@example.org> REQUIRETLS") == 1) != c.mail {
					t.Errorf("%q", w.log)
				}
			})
		})
	}
}

// Parameters of MAIL are passed on to hosts that know them.
func TestParametersPassOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		ext    []string
		change func(*flow.Job)
		want   string
		mail   string
	}{
		{"priority", []string{"MT-PRIORITY"}, func(j *flow.Job) { j.Priority = -3 }, sentOne, "MAIL FROM:<a@example.org> MT-PRIORITY=-3"},
		{"priority, unknown there", nil, func(j *flow.Job) { j.Priority = 5 }, sentOne, "MAIL FROM:<a@example.org>"},
		{"by a time", []string{"DELIVERBY"}, func(j *flow.Job) { j.DeliverBy = time.Now().Add(time.Hour) }, sentOne, "MAIL FROM:<a@example.org> BY=3600;N"},
		{"by a time that is over", []string{"DELIVERBY"}, func(j *flow.Job) { j.DeliverBy = time.Now().Add(-time.Hour) }, sentOne, "MAIL FROM:<a@example.org> BY=-3600;N"},
		{"by a time, unknown there", nil, func(j *flow.Job) { j.DeliverBy = time.Now().Add(time.Hour) }, sentOne, "MAIL FROM:<a@example.org>"},
		{"by a time or back", []string{"DELIVERBY 60"}, func(j *flow.Job) { j.DeliverBy, j.DeliverByReturn = time.Now().Add(time.Hour), true }, sentOne, "MAIL FROM:<a@example.org> BY=3600;R"},
		{"by a time or back, too soon", []string{"DELIVERBY 7200"}, func(j *flow.Job) { j.DeliverBy, j.DeliverByReturn = time.Now().Add(time.Hour), true }, "failed 5.4.7", ""},
		{"by a time or back, unknown there", nil, func(j *flow.Job) { j.DeliverBy, j.DeliverByReturn = time.Now().Add(time.Hour), true }, "failed 5.3.3", ""},
		{"size and DSN", []string{"SIZE", "DSN"}, func(j *flow.Job) { j.Ret, j.EnvID = envelope.RetFull, "x+y" }, sentOne, "MAIL FROM:<a@example.org> SIZE=21 RET=FULL ENVID=x+2By"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts(), servers: map[string]*script{one: {ext: c.ext}}}
				w.zone.mx["example.com"] = w.zone.mx["example.com"][:1]
				tk := task("b@example.com")
				c.change(tk.Job)
				if got := deliver(t, start(t, w, nil), tk)[0]; !strings.HasPrefix(got, c.want) {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				said := ""
				for _, s := range w.log {
					if strings.HasPrefix(s, "MAIL") {
						said = s
					}
				}
				if said != c.mail {
					t.Errorf("%q", said)
				}
			})
		})
	}
}

// attempts keeps what is told of hosts.
type attempts []obs.Attempt

func (a *attempts) Emit(e obs.Event) {
	if x, ok := e.(obs.Attempt); ok {
		*a = append(*a, x)
	}
}

// Each host that is tried is told of, with its words.
func TestAttemptsAreTold(t *testing.T) {
	good, _ := dialogue.TLS(t, "two.example")
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{
			one: {reply: map[string]string{"greeting": "421 4.3.2 busy|close"}},
			two: {tls: good, reply: map[string]string{"RCPT TO:<bad": "550 5.1.1 who?"}}}}
		w.zone.mx["example.com"] = append(w.zone.mx["example.com"], dns.MX{Preference: 5, Host: "gone.example"})
		var told attempts
		a := start(t, w, func(s *Settings, o *Options) {
			idleFor(time.Minute)(s, o)
			o.Events = &told
		})
		for range 2 {
			deliver(t, a, task("b@example.com", "bad@example.com"))
		}
		var got []string
		for _, e := range told {
			s := e.Relay + " " + e.Phase
			if e.Reused {
				s += " reused"
			}
			if e.TLS != "" {
				s += " " + e.Trust
			}
			for _, r := range e.Replies {
				s += " | " + r
			}
			if e.Error != "" {
				s += " ! " + e.Error
			}
			if len(e.Recipients) != 2 {
				t.Errorf("%+v", e)
			}
			got = append(got, s)
		}
		const mail = " | 250 ok | 250 ok | 550 5.1.1 who? | 354 go | 250 2.0.0 queued as 1"
		want := []string{
			"none dns ! host gone.example has no address",
			"one.example[192.0.2.1]:25 greeting | 421 4.3.2 busy",
			"two.example[192.0.2.2]:25 end unverified" + mail,
			"none dns ! host gone.example has no address",
			"one.example[192.0.2.1]:25 greeting | 421 4.3.2 busy",
			"two.example[192.0.2.2]:25 end reused unverified" + mail,
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Outcomes bear why, and what that says of the site.
func TestClassAndSignal(t *testing.T) {
	for _, c := range []struct {
		name     string
		one, two *script
		class    flow.Class
		signal   flow.Signal
	}{
		{"taken", &script{}, nil, flow.ClassNone, flow.Well},
		{"no such user", &script{reply: map[string]string{"RCPT": "550 5.1.1 no such user"}}, nil, flow.ClassUnknown, flow.Silent},
		{"greylisted", &script{reply: map[string]string{"RCPT": "450 4.7.1 Greylisted"}}, nil, flow.ClassGreylisted, flow.Silent},
		{"nobody there", nil, nil, flow.ClassNetwork, flow.Unreachable},
		{"one there, but busy", &script{reply: map[string]string{"greeting": "421 4.7.0 too many connections|close"}}, nil, flow.ClassNetwork, flow.Slower},
		{"blocked", &script{reply: map[string]string{"MAIL": "550 5.7.1 Client host blocked using zen.spamhaus.org"}}, nil, flow.ClassBlocked, flow.Refuses},
		{"closed behind the dot", &script{reply: map[string]string{".": "close"}}, nil, flow.ClassNetwork, flow.Slower},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{zone: twoHosts(), servers: map[string]*script{one: c.one, two: c.two}}
				o := start(t, w, nil).Deliver(t.Context(), []*queue.Task{task("b@example.com")})[0][0]
				if o.Class != c.class || o.Signal != c.signal {
					t.Errorf("%s %d: %+v", o.Class, o.Signal, o)
				}
			})
		})
	}
}

// A domain that counts for a site by its first exchanger: what its others say is not the site's.
func TestHostsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &script{reply: map[string]string{"MAIL": "421 4.7.0 too many connections|close"}}
		for _, c := range []struct {
			site   func(hosts []string) string
			signal flow.Signal
		}{
			{func(hosts []string) string {
				return map[bool]string{true: "big", false: "other"}[hosts[0] == "one.example"]
			}, flow.Silent},
			{func([]string) string { return "big" }, flow.Slower},
			{func(hosts []string) string { return strings.Join(hosts, "+") }, flow.Slower}, // named after all of them
		} {
			w := &world{zone: twoHosts(), servers: map[string]*script{one: nil, two: busy}}
			a := start(t, w, nil)
			a.opt.SiteOf = c.site
			if o := a.Deliver(t.Context(), []*queue.Task{task("b@example.com")})[0][0]; o.Signal != c.signal || o.RemoteMTA != "two.example" {
				t.Errorf("%d: %+v", c.signal, o)
			}
		}
	})
}

// Equal hosts: the one to which a connection waits is asked first, whoever's domain it was made for.
func TestConnectionsOfASiteAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := []dns.MX{{Preference: 5, Host: "one.example"}, {Preference: 5, Host: "two.example"}}
		back := []dns.MX{hosts[1], hosts[0]}
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}, two: {}}}
		w.zone.mx = map[string][]dns.MX{"example.com": hosts, "other.example": back}
		a := start(t, w, idleFor(time.Minute))
		for _, to := range []string{"b@example.com", "b@other.example", "b@example.com"} {
			if got := deliver(t, a, task(to))[0]; got != sentOne {
				t.Error(got)
			}
		}
		if w.said("connect") != 1 || w.said("MAIL") != 3 {
			t.Errorf("%q", w.log)
		}
	})
}

func TestUsesOfAConnectionAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}}}
		a := start(t, w, func(s *Settings, o *Options) {
			idleFor(time.Minute)(s, o)
			s.MaxUses = 2
		})
		for range 5 {
			deliver(t, a, task("b@example.com"))
		}
		if w.said("connect") != 3 || w.said("MAIL") != 5 {
			t.Errorf("%q", w.log)
		}
	})
}

// The site of a domain is its exchangers', for as long as the DNS allows, within bounds.
func TestSite(t *testing.T) {
	w := &world{zone: twoHosts()}
	w.zone.fail = map[string]dns.Kind{"down.example": dns.Temporary}
	a := start(t, w, func(_ *Settings, o *Options) {
		o.SiteOf = func(hosts []string) string { return strings.Join(hosts, "+") }
		o.Now = func() time.Time { return time.Unix(1000, 0) }
	})
	for domain, want := range map[string]string{"example.com": "one.example+two.example", "down.example": "down.example", "alone.example": "alone.example"} {
		if name, until := a.Site(t.Context(), domain); name != want || until != time.Unix(1000, 0).Add(minSite) {
			t.Errorf("%s: %s until %s", domain, name, until)
		}
	}
}
