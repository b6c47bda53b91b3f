package queue

import (
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
	s := NewScheduler(Limits{PerRoute: 5, Total: 10, Mailbox: 1})
	for i := range 100 {
		s.Add(unit(i, "big.example", start))
	}
	s.Add(unit(500, "small.example", start))
	s.Tick(start)
	for i := range 2 {
		u, ok := s.Ready()
		if !ok {
			t.Fatal("nothing ready")
		}
		if i == 1 && u.Route != "small.example" {
			t.Fatalf("the second turn went to %s", u.Route)
		}
	}
}

func TestNotBeforeDue(t *testing.T) {
	s := NewScheduler(Limits{PerRoute: 5, Total: 10, Mailbox: 1})
	s.Add(unit(1, "a", start.Add(time.Minute)))
	s.Tick(start)
	if _, ok := s.Ready(); ok {
		t.Fatal("ran before it was due")
	}
	if next, ok := s.Next(); !ok || !next.Equal(start.Add(time.Minute)) {
		t.Fatalf("next %v", next)
	}
	s.Flush(start)
	s.Tick(start)
	if _, ok := s.Ready(); !ok {
		t.Fatal("flush made nothing due")
	}
}

// Whatever is added comes out once, limits are never passed, and nothing is stuck while there is room.
func TestSchedulerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{PerRoute: rapid.IntRange(1, 3).Draw(t, "per route"), Total: rapid.IntRange(1, 4).Draw(t, "total"), Mailbox: 2}
		s := NewScheduler(l)
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
				u, ok := s.Ready()
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
				flying = append(flying, u)
				key := u.Transport.String() + u.Route
				perRoute[key]++
				if u.Transport == flow.SMTP && perRoute[key] > l.PerRoute || u.Transport == flow.Mailbox && perRoute[key] > l.Mailbox {
					t.Fatal("route limit passed")
				}
				if s.flying > l.Total {
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
				s.Done(u)
			},
		})
		now = now.Add(time.Hour)
		for {
			s.Tick(now)
			u, ok := s.Ready()
			if !ok {
				if len(flying) == 0 {
					break
				}
				s.Done(flying[0])
				flying = flying[1:]
				continue
			}
			came[u.ID]++
			flying = append(flying, u)
		}
		if len(came) != added {
			t.Fatalf("added %d, came %d", added, len(came))
		}
		if len(s.routes) != 0 || s.flying != 0 {
			t.Fatalf("left over: %d routes, %d flying", len(s.routes), s.flying)
		}
	})
}

func TestRetryWait(t *testing.T) {
	r := DefaultRetry()
	for _, c := range []struct {
		attempts int
		want     time.Duration
	}{{1, 5 * time.Minute}, {2, 10 * time.Minute}, {3, 20 * time.Minute}, {9, 70 * time.Minute}, {1000, 70 * time.Minute}} {
		if got := r.Wait(c.attempts, 0.5); got != c.want {
			t.Errorf("after %d attempts %v, want %v", c.attempts, got, c.want)
		}
	}
	if lo, hi := r.Wait(1, 0), r.Wait(1, 0.999); lo >= hi || lo < 4*time.Minute || hi > 6*time.Minute {
		t.Errorf("jitter from %v to %v", lo, hi)
	}
}

// A user whose commands take long keeps no other's from running.
func TestCommandsTakeTurns(t *testing.T) {
	s := NewScheduler(Limits{PerRoute: 20, Total: 200, Mailbox: 8})
	for i := range 30 {
		u := unit(i, RouteOf(&flow.Recipient{Transport: flow.Pipe, NextHop: "slow"}), start)
		u.Transport = flow.Pipe
		s.Add(u)
	}
	u := unit(500, RouteOf(&flow.Recipient{Transport: flow.Pipe, NextHop: "quick"}), start)
	u.Transport = flow.Pipe
	s.Add(u)
	s.Tick(start)
	flying := map[string]int{}
	for u, ok := s.Ready(); ok; u, ok = s.Ready() {
		flying[u.Route]++
	}
	if flying["slow"] != localPerRoute || flying["quick"] != 1 {
		t.Errorf("in flight: %v", flying)
	}
}
