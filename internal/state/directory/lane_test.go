package directory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
)

func site(s string) netip.Prefix {
	a := netip.MustParseAddr(s)
	p, _ := a.Prefix(map[bool]int{true: 32, false: 64}[a.Is4()])
	return p
}

func at(s string) netip.Prefix { return netip.PrefixFrom(netip.MustParseAddr(s), 32) }

// crowded is a lane whose slot is taken until open is closed, and the order in which turns ran.
type crowded struct {
	*lane
	t     *testing.T
	open  chan struct{}
	group sync.WaitGroup

	mu    sync.Mutex
	order []string
	busy  map[string]int
}

func crowd(t *testing.T, queue int) *crowded {
	c := &crowded{lane: newLane(1, queue), t: t, open: make(chan struct{}), busy: map[string]int{}}
	c.group.Go(func() { _ = c.run(t.Context(), party{}, func() { <-c.open }) })
	synctest.Wait()
	return c
}

func (c *crowded) come(label string, who party) {
	c.group.Go(func() {
		err := c.run(c.t.Context(), who, func() {
			c.mu.Lock()
			c.order = append(c.order, label)
			c.mu.Unlock()
		})
		if errors.Is(err, ErrBusy) {
			c.mu.Lock()
			c.busy[label]++
			c.mu.Unlock()
		}
	})
	synctest.Wait()
}

// TestLaneIsFair: one place's storm, and one against a single name, queue behind themselves.
func TestLaneIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crowd(t, 100)
		for i := range 20 {
			c.come("storm", party{site: at("192.0.2.1"), name: fmt.Sprint("name", i)})
			c.come("aimed", party{site: at(fmt.Sprintf("198.51.100.%d", i)), name: "victim"})
		}
		c.come("first", party{site: at("203.0.113.1"), name: "alice"})
		c.come("second", party{site: at("203.0.113.1"), name: "alice"})
		close(c.open)
		c.group.Wait()
		place := map[string]int{}
		for i, label := range c.order {
			place[label] = i
		}
		if len(c.order) != 42 || place["first"] > 3 || place["second"] > 6 {
			t.Errorf("alice ran as number %d and %d of %d: %v", place["first"], place["second"], len(c.order), c.order)
		}
		if l := c.load(); l != (Load{}) || len(c.next) != 0 {
			t.Errorf("left behind: %+v, %d parties", l, len(c.next))
		}
	})
}

// TestLaneChargesEachForItsOwn: who shares a place with one whose name is being guessed does not wait with it, and neither does
// a name that somebody far back in the order has tried once.
func TestLaneChargesEachForItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crowd(t, 200)
		for i := range 20 {
			c.come("aimed", party{site: at(fmt.Sprintf("198.51.%d.1", i)), name: "victim"})
			c.come("storm", party{site: at("192.0.2.1"), name: fmt.Sprint("name", i)})
		}
		c.come("victim", party{site: at("203.0.113.1"), name: "victim"})
		c.come("colleague", party{site: at("203.0.113.1"), name: "colleague"})
		c.come("tried", party{site: at("203.0.114.1"), name: "name19"})
		close(c.open)
		c.group.Wait()
		for i, label := range c.order {
			if (label == "colleague" || label == "tried") && i > 6 {
				t.Errorf("%s ran as number %d", label, i)
			}
		}
		if len(c.order) != 43 {
			t.Errorf("%d ran", len(c.order))
		}
	})
}

// TestLaneBoundsANetwork: a whole /24, or a /48, gets what turnCost of its addresses would, however many it uses.
func TestLaneBoundsANetwork(t *testing.T) {
	for _, form := range []string{"192.0.2.%d", "2001:db8:0:%x::"} {
		synctest.Test(t, func(t *testing.T) {
			c := crowd(t, 1000)
			for i := range 250 {
				c.come("storm", party{site: site(fmt.Sprintf(form, i)), name: fmt.Sprint("name", i)})
			}
			for i := range 40 {
				c.come("office", party{site: at("203.0.113.1"), name: fmt.Sprint("user", i)})
			}
			close(c.open)
			c.group.Wait()
			office := 0
			for _, label := range c.order[:170] {
				if label == "office" {
					office++
				}
			}
			if office < 9 || office > 11 {
				t.Errorf("%s: of the first 170 turns the office had %d", form, office)
			}
		})
	}
}

// TestLaneForgets: parties whose turns were all sent away leave nothing that grows.
func TestLaneForgets(t *testing.T) {
	l := newLane(1, 10)
	l.pause = 0
	l.enter(party{name: "running"})
	for i := range 10_000 {
		l.enter(party{site: site(fmt.Sprintf("10.%d.%d.1", i/250, i%250)), name: "victim"})
		if i%20 == 19 {
			l.done()
		}
	}
	if len(l.next) > 4*11+60 {
		t.Errorf("%d parties", len(l.next))
	}
}

// TestFullLaneSendsTheStormAway: when too many wait it is the storm's own that hear "try again", not whoever comes late.
func TestFullLaneSendsTheStormAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crowd(t, 10)
		for range 30 {
			c.come("storm", party{site: at("192.0.2.1"), name: "root"})
		}
		for i := range 8 {
			c.come("late", party{site: at(fmt.Sprintf("203.0.113.%d", i)), name: fmt.Sprint("user", i)})
		}
		if l := c.load(); l.Waiting != 10 || l.Refused != 28 {
			t.Errorf("%+v", l)
		}
		close(c.open)
		c.group.Wait()
		if c.busy["storm"] != 28 || c.busy["late"] != 0 || len(c.order) != 10 {
			t.Errorf("busy %v, ran %v", c.busy, c.order)
		}
	})
}

// TestLaneBoundsTheWait: nobody waits for ever, and who has gone leaves no trace.
func TestLaneBoundsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crowd(t, 10)
		began := time.Now()
		c.come("patient", party{name: "a"})
		gone, leave := context.WithCancel(t.Context())
		c.group.Go(func() {
			if err := c.run(gone, party{name: "b"}, func() { t.Error("ran") }); !errors.Is(err, ErrBusy) || time.Since(began) != time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
		time.Sleep(time.Second)
		leave()
		time.Sleep(lanePatience)
		synctest.Wait()
		if l := c.load(); c.busy["patient"] != 1 || l.Waiting != 0 || l.Refused != 2 {
			t.Errorf("%v, %+v", c.busy, l)
		}
		close(c.open)
		c.group.Wait()
		if err := c.run(t.Context(), party{name: "a"}, func() {}); err != nil {
			t.Error(err)
		}
		if l := c.load(); l.Checking != 0 {
			t.Errorf("%+v", l)
		}
	})
}

// TestLaneForgivesNoChange: what changes while a login waits for its turn holds for it: a new password, an account that may not log
// in any more, one that is gone.
func TestLaneForgivesNoChange(t *testing.T) {
	alice := address.Address{Local: "alice", Domain: "here.example"}
	for name, change := range map[string]func(context.Context, *Directory) error{
		"password": func(ctx context.Context, d *Directory) error { return d.SetPassword(ctx, alice, "new") },
		"no login": func(ctx context.Context, d *Directory) error { return d.SetNoLogin(ctx, alice, true) },
		"removed":  func(ctx context.Context, d *Directory) error { _, err := d.RemoveAccount(ctx, alice); return err },
		"another": func(ctx context.Context, d *Directory) error {
			return d.SetPassword(ctx, address.Address{Local: "bob", Domain: "here.example"}, "new")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, err := NewMemory(Options{Lane: 1, Hash: HashParams{MemoryKiB: 8, Time: 1, Threads: 1}})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := d.AddDomain(t.Context(), "here.example"); err != nil {
					t.Fatal(err)
				}
				for _, local := range []string{"alice", "bob"} {
					if _, err := d.AddAccount(t.Context(), NewAccount{Address: address.Address{Local: local, Domain: "here.example"}, Password: "old"}); err != nil {
						t.Fatal(err)
					}
				}
				open := make(chan struct{})
				var group sync.WaitGroup
				group.Go(func() { _ = d.lane.run(t.Context(), party{}, func() { <-open }) })
				synctest.Wait()
				// The change takes its turn first, as the operator's; the login has read the old state before.
				var login error
				group.Go(func() {
					_, login = d.Authenticate(t.Context(), "alice@here.example", "old", Client{Site: at("192.0.2.1")})
				})
				synctest.Wait()
				d.lane.waiting[0].start++ // behind the operator, who comes later here
				var changed error
				group.Go(func() { changed = change(t.Context(), d) })
				synctest.Wait()
				close(open)
				group.Wait()
				if changed != nil {
					t.Fatal(changed)
				}
				if name == "another" && login != nil || name != "another" && !errors.Is(login, ErrBusy) {
					t.Errorf("login: %v", login)
				}
			})
		})
	}
}

// TestLaneKnowsHomes: an account that is guessed from everywhere still lets its owner in where he has logged in before, also when
// his program comes after the ten minutes.
func TestLaneKnowsHomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := NewMemory(Options{Lane: 1, LaneQueue: 20, Hash: HashParams{MemoryKiB: 8, Time: 1, Threads: 1}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.AddDomain(t.Context(), "here.example"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.AddAccount(t.Context(), NewAccount{Address: address.Address{Local: "alice", Domain: "here.example"}, Password: "pw"}); err != nil {
			t.Fatal(err)
		}
		login := func(password, from string) error {
			_, err := d.Authenticate(t.Context(), "alice@here.example", password, Client{Site: at(from)})
			return err
		}
		if err := login("pw", "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rememberFor + time.Second)
		open := make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() { _ = d.lane.run(t.Context(), party{}, func() { <-open }) })
		for i := range 30 {
			group.Go(func() { _ = login("guess", fmt.Sprintf("198.51.%d.1", i)) })
		}
		synctest.Wait()
		var home, elsewhere error
		group.Go(func() { home = login("pw", "192.0.2.1") })
		group.Go(func() { elsewhere = login("pw", "203.0.113.1") })
		synctest.Wait()
		close(open)
		group.Wait()
		if home != nil || !errors.Is(elsewhere, ErrBusy) {
			t.Errorf("at home: %v; elsewhere: %v", home, elsewhere)
		}
	})
}
