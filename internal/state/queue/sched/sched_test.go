package sched

import (
	"fmt"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"pgregory.net/rapid"
)

var start = time.Unix(1_800_000_000, 0)

func unit(n int, route string, due time.Time) Unit {
	return Unit{ID: queueid.New(int64(n)+1, 1), Transport: flow.SMTP, Route: route, Due: due}
}

func TestRoutesTakeTurns(t *testing.T) {
	s := New(Policy{Limits: Limits{PerRoute: 5, Total: 10, Mailbox: 1}})
	for i := range 100 {
		s.Add(unit(i, "big.example", start))
	}
	s.Add(unit(500, "small.example", start))
	s.Tick(start)
	for i := range 2 {
		u, ok := s.Ready(start)
		if !ok {
			t.Fatal("nothing ready")
		}
		if i == 1 && u.Route != "small.example" {
			t.Fatalf("the second turn went to %s", u.Route)
		}
	}
}

func TestNotBeforeDue(t *testing.T) {
	s := New(Policy{Limits: Limits{PerRoute: 5, Total: 10, Mailbox: 1}})
	s.Add(unit(1, "a", start.Add(time.Minute)))
	s.Tick(start)
	if _, ok := s.Ready(start); ok {
		t.Fatal("ran before it was due")
	}
	if next, ok := s.Next(); !ok || !next.Equal(start.Add(time.Minute)) {
		t.Fatalf("next %v", next)
	}
	s.Flush(start)
	s.Tick(start)
	if _, ok := s.Ready(start); !ok {
		t.Fatal("flush made nothing due")
	}
}

// Whatever is added comes out once, limits are never passed, and nothing is stuck while there is room.
func TestSchedulerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{PerRoute: rapid.IntRange(1, 3).Draw(t, "per route"), Total: rapid.IntRange(1, 4).Draw(t, "total"), Mailbox: 2}
		s := New(Policy{Limits: l})
		now := start
		added, came := 0, map[queueid.ID]int{}
		var flying []Unit
		perRoute := map[string]int{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				u := unit(added, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "route"),
					now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "wait"))*time.Second))
				if rapid.IntRange(0, 3).Draw(t, "local") == 0 {
					u.Transport, u.Route = flow.Mailbox, ""
				}
				added++
				s.Add(u)
			},
			"tick": func(t *rapid.T) { now = now.Add(time.Second); s.Tick(now) },
			"ready": func(t *rapid.T) {
				u, ok := s.Ready(now)
				if !ok {
					return
				}
				if u.Due.After(now) {
					t.Fatal("early")
				}
				came[u.ID]++
				if came[u.ID] > 1 {
					t.Fatalf("unit %v came twice", u.ID)
				}
				flying = append(flying, u.Unit)
				key := u.Transport.String() + u.Route
				perRoute[key]++
				if u.Transport == flow.SMTP && perRoute[key] > l.PerRoute || u.Transport == flow.Mailbox && perRoute[key] > l.Mailbox {
					t.Fatal("route limit passed")
				}
				if s.Flying() > l.Total {
					t.Fatal("total passed")
				}
			},
			"done": func(t *rapid.T) {
				if len(flying) == 0 {
					return
				}
				u := flying[0]
				flying = flying[1:]
				perRoute[u.Transport.String()+u.Route]--
				s.Done(u, Feedback{}, now)
			},
		})
		now = now.Add(time.Hour)
		for {
			s.Tick(now)
			u, ok := s.Ready(now)
			if !ok {
				if len(flying) == 0 {
					break
				}
				s.Done(flying[0], Feedback{}, now)
				flying = flying[1:]
				continue
			}
			came[u.ID]++
			flying = append(flying, u.Unit)
		}
		if len(came) != added {
			t.Fatalf("added %d, came %d", added, len(came))
		}
		for _, i := range s.Sites(now) {
			if i.Flying+i.Ready != 0 {
				t.Fatalf("left over: %+v", i)
			}
		}
		if s.Flying() != 0 || len(s.remote.payers)+len(s.local.payers) != 0 || s.remote.busy+s.local.busy != 0 {
			t.Fatalf("left over: %d flying, %d payers", s.Flying(), len(s.remote.payers)+len(s.local.payers))
		}
	})
}

// A user whose commands take long keeps no other's from running.
func TestCommandsTakeTurns(t *testing.T) {
	s := New(Policy{Limits: Limits{PerRoute: 20, Total: 200, Mailbox: 8}})
	for i := range 30 {
		u := unit(i, "slow", start)
		u.Transport = flow.Pipe
		s.Add(u)
	}
	u := unit(500, "quick", start)
	u.Transport = flow.Pipe
	s.Add(u)
	s.Tick(start)
	flying := map[string]int{}
	for u, ok := s.Ready(start); ok; u, ok = s.Ready(start) {
		flying[u.Route]++
	}
	if flying["slow"] != localPerRoute || flying["quick"] != 1 {
		t.Errorf("in flight: %v", flying)
	}
}

// A program that takes long, for however many domains, has what its limit says, and keeps no other program from running.
func TestProgramsHaveTheirOwnLimits(t *testing.T) {
	s := New(Policy{Limits: Limits{PerRoute: 2, Total: 200, Mailbox: 8}, Programs: map[string]int{"slow": 1, "wide": 30}})
	for i := range 40 {
		for j, hop := range []string{fmt.Sprintf("d%d.test", i), "one.test"} {
			u := unit(i+1000*j, flow.ProgramHop([]string{"slow", "wide"}[j], hop), start)
			u.Transport = flow.Program
			s.Add(u)
		}
	}
	s.Tick(start)
	flying := map[string]int{}
	for u, ok := s.Ready(start); ok; u, ok = s.Ready(start) {
		name, _, _ := flow.ParseProgramHop(u.Route)
		flying[name]++
	}
	if flying["slow"] != 1 || flying["wide"] != 30 {
		t.Errorf("in flight: %v", flying)
	}
}
