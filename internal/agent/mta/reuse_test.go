package mta

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/test/dialogue"
)

func idleFor(d time.Duration) func(*Settings, *Options) {
	return func(s *Settings, _ *Options) { s.Idle = d }
}

func TestReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}}}
		a := start(t, w, idleFor(2*time.Second))
		for range 3 {
			if got := deliver(t, a, task("b@example.com"))[0]; got != sentOne {
				t.Error(got)
			}
			time.Sleep(1500 * time.Millisecond)
		}
		if w.said("connect") != 1 || w.said("EHLO") != 1 || w.said("MAIL") != 3 || w.said("QUIT") != 0 {
			t.Errorf("%q", w.log)
		}
		time.Sleep(time.Second) // past Idle
		synctest.Wait()
		if w.said("QUIT") != 1 {
			t.Errorf("not closed: %q", w.log)
		}
		if got := deliver(t, a, task("b@example.com"))[0]; got != sentOne || w.said("connect") != 2 {
			t.Errorf("%s\n%q", got, w.log)
		}
	})
}

func TestNoReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}}}
		a := start(t, w, idleFor(0))
		for range 2 {
			deliver(t, a, task("b@example.com"))
		}
		synctest.Wait()
		if w.said("connect") != 2 || w.said("QUIT") != 2 {
			t.Errorf("%q", w.log)
		}
	})
}

// A host that closed a waiting connection, with or without 421, is connected anew, and no other is troubled.
func TestReuseOfAClosedConnection(t *testing.T) {
	for _, last := range []string{"close", "421 4.4.2 idle for too long|close"} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{ext: []string{"PIPELINING"}, reply: map[string]string{}}
			w := &world{zone: twoHosts(), servers: map[string]*script{one: s, two: {}}}
			a := start(t, w, idleFor(time.Minute))
			deliver(t, a, task("b@example.com"))
			synctest.Wait()
			s.reply["MAIL"] = last
			w.servers[one] = &script{} // for the next connection
			if got := deliver(t, a, task("b@example.com"))[0]; got != sentOne {
				t.Error(got)
			}
			if w.said("connect "+one) != 2 || w.said("connect "+two) != 0 || len(w.mails) != 2 {
				t.Errorf("%q", w.log)
			}
		})
	}
}

// A refusal on a connection that had been used is a refusal.
func TestReuseAndRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{reply: map[string]string{}}
		w := &world{zone: twoHosts(), servers: map[string]*script{one: s, two: {}}}
		a := start(t, w, idleFor(time.Minute))
		deliver(t, a, task("b@example.com"))
		synctest.Wait()
		s.reply["MAIL"] = "550 5.7.1 enough"
		if got := deliver(t, a, task("b@example.com"))[0]; got != "failed 5.7.1 one.example[192.0.2.1]:25: 550 5.7.1 enough" {
			t.Error(got)
		}
		if w.said("connect") != 1 {
			t.Errorf("%q", w.log)
		}
	})
}

func TestNewSettingsNewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {}}}
		a := start(t, w, idleFor(time.Minute))
		deliver(t, a, task("b@example.com"))
		a.Set(&Settings{Resolver: &w.zone, Hello: "other.example", Port: 25})
		deliver(t, a, task("b@example.com"))
		if w.said("connect") != 2 || w.said("EHLO other.example") != 1 {
			t.Errorf("%q", w.log)
		}
	})
}

func TestIdleConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{servers: map[string]*script{"192.0.2.1:25": {}, "192.0.2.2:25": {}, "192.0.2.3:25": {}}}
		a := start(t, w, func(s *Settings, o *Options) { s.Idle, o.MaxIdle = time.Minute, 2 })
		for _, to := range []string{"b@[192.0.2.1]", "b@[192.0.2.2]", "b@[192.0.2.3]"} {
			deliver(t, a, task(to))
		}
		synctest.Wait()
		if w.said("QUIT") != 1 || len(a.pool.idle) != 2 {
			t.Errorf("%d idle\n%q", len(a.pool.idle), w.log)
		}
		a.Close()
		if w.wait.Wait(); w.said("QUIT") != 3 {
			t.Errorf("%q", w.log)
		}
	})
}

// A waiting connection to a host that does not promise what a message requires (RFC 8689) goes on waiting for others.
func TestReuseWithoutThePromise(t *testing.T) {
	good, client := dialogue.TLS(t, "one.example")
	synctest.Test(t, func(t *testing.T) {
		w := &world{zone: twoHosts(), servers: map[string]*script{one: {tls: good}}}
		w.zone.mx["example.com"], w.zone.authentic = w.zone.mx["example.com"][:1], true
		a := start(t, w, func(s *Settings, o *Options) {
			idleFor(time.Minute)(s, o)
			s.TLS, s.RootCAs = at(TLSVerify), client.RootCAs
		})
		strict := task("b@example.com")
		strict.Job.RequireTLS = true
		deliver(t, a, task("b@example.com"))
		if got := deliver(t, a, strict)[0]; !strings.HasPrefix(got, "failed 5.7.30") {
			t.Error(got)
		}
		if got := deliver(t, a, task("b@example.com"))[0]; got != sentOne {
			t.Error(got)
		}
		synctest.Wait()
		if len(a.pool.idle) != 1 || w.said("connect") != 2 || w.said("QUIT") != 1 {
			t.Errorf("%d idle\n%q", len(a.pool.idle), w.log)
		}
	})
}
