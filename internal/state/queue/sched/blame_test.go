package sched

import (
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
)

// Whose exchangers a domain names is its owner's choice: hosts of a provider that take no mail, for example. Such mail ends
// neither the mail to the provider's other domains, nor makes it slower.
func TestDomainThatNamesWrongExchangers(t *testing.T) {
	w := newWorld(t, usual())
	w.sites["good.example"], w.sites["bad.example"] = "provider", "provider"
	w.hosts["provider"] = &host{answer: func(_ *world, _ *host, u *Unit) (time.Duration, Feedback) {
		if u.Route == "bad.example" {
			return 30 * time.Second, reply(flow.Unreachable, false)
		}
		return time.Second, reply(flow.Well, true)
	}}
	for i := range 3600 {
		w.mail("good", "good.example", "customer", Normal, time.Duration(i)*time.Second)
	}
	for range 100 {
		w.mail("bad", "bad.example", "intruder", Normal, 10*time.Minute)
	}
	w.run(start.Add(11 * time.Minute))
	if i := w.info("provider"); i.Rest != nil || i.Limit < 5 {
		t.Errorf("%+v", i)
	}
	w.run(start.Add(time.Hour + time.Minute))
	if d := w.worst("good", 100); d > time.Minute {
		t.Errorf("good mail waited %s", d)
	}
}

// What failed before a host was asked is no answer: it ends no rest, and no doubt.
func TestNobodyAnswered(t *testing.T) {
	s := New(usual())
	u := unit(0, "d.example", start)
	try := func(n int, f Feedback) {
		u.ID = unit(n, "d.example", start).ID
		s.Add(u)
		s.Tick(start)
		p, ok := s.Ready(start)
		if !ok {
			t.Fatalf("attempt %d: nothing ready", n)
		}
		s.Done(p.Unit, f, start)
	}
	nobody := Feedback{Outcome: flow.Outcome{At: start, Class: flow.ClassDNS}}
	for i := range DefaultDeadAfter {
		try(2*i, nobody)
		try(2*i+1, reply(flow.Unreachable, false))
	}
	if list := s.Sites(start); list[0].Rest == nil {
		t.Errorf("%+v", list[0])
	}
}

// A name that is out of date serves while it is asked for again; a domain that was never heard of waits.
func TestOldNamesServe(t *testing.T) {
	s := New(usual())
	s.Resolved("a.example", "a-site", start)
	for i, domain := range []string{"a.example", "new.example"} {
		u := unit(i, domain, start)
		u.MX = true
		s.Add(u)
	}
	later := start.Add(time.Hour)
	s.Tick(later)
	p, ok := s.Ready(later)
	if !ok || p.Route != "a.example" {
		t.Fatalf("%v %v", p, ok)
	}
	if _, ok := s.Ready(later); ok {
		t.Fatal("a domain without a site ran")
	}
	if asked := s.Unresolved(10); !slices.Equal(asked, []string{"a.example", "new.example"}) {
		t.Fatalf("asked for %v", asked)
	}
	s.Resolved("a.example", "b-site", later.Add(time.Hour))
	s.Resolved("new.example", "", later.Add(time.Minute))
	if p, ok := s.Ready(later); !ok || p.Route != "new.example" {
		t.Fatalf("%v %v", p, ok)
	}
}
