package lockout

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"
)

var (
	noon     = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	settings = Settings{Window: 10 * time.Minute, Lock: time.Hour, MaxDelay: 15 * time.Second, PerSite: 20, PerNetwork: 60}
)

// from is a login from the i-th address of a botnet: each /24 has 250 of them.
func from(i int, account string) Try {
	a := netip.AddrFrom4([4]byte{100, byte(i / 250 >> 8), byte(i / 250), byte(i%250) + 1})
	site, _ := a.Prefix(32)
	network, _ := a.Prefix(24)
	return Try{site, network, account}
}

func at(address, account string) Try {
	a := netip.MustParseAddr(address)
	site, _ := a.Prefix(32)
	network, _ := a.Prefix(24)
	return Try{site, network, account}
}

// world is a guard with its time and what became of logins.
type world struct {
	*Guard
	now                    time.Time
	checked, refused, bans int
	waited                 time.Duration // the longest
}

func newWorld() *world { return &world{Guard: New(1 << 16), now: noon} }

// guess is a login with a wrong password, by somebody who does not wait for the answer.
func (w *world) guess(t Try, secret uint64) {
	v := w.Ask(t, settings, w.now)
	if v.Refused != "" {
		w.refused++
		return
	}
	w.waited = max(w.waited, v.Wait)
	w.checked++
	if w.Failed(t, secret, settings, w.now.Add(v.Wait)) {
		w.bans++
	}
}

// TestBotnet: 10,000 addresses guess at one account for an hour. Few passwords are looked at; its owner does not notice; no
// account is locked out; the memory is bounded.
func TestBotnet(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := newWorld()
	owner := at("192.0.2.1", "ann@here.test")
	w.Succeeded(owner, w.now)
	secret := uint64(0)
	for range 3600 {
		for range 25 {
			secret++
			w.guess(from(int(secret)*7919%10_000, "ann@here.test"), secret)
		}
		if v := w.Ask(owner, settings, w.now); v != (Verdict{}) {
			t.Fatalf("the owner: %+v", v)
		}
		w.now = w.now.Add(time.Second)
	}
	if most := 3600/15 + 2*accountFree + 20; w.checked > most || w.checked < 100 {
		t.Errorf("%d of 90,000 passwords were looked at, not %d at most", w.checked, most)
	}
	if w.waited > settings.MaxDelay {
		t.Errorf("somebody waited %v", w.waited)
	}
	// It turns to the accounts of others, one guess each: the addresses' networks are worn out soon.
	w.checked = 0
	for i := range 100_000 {
		secret++
		w.guess(from(i%10_000, fmt.Sprint("user", i)), secret)
		w.now = w.now.Add(10 * time.Millisecond)
	}
	if w.checked > 40*2*60 { // 40 networks, 60 each in ten minutes; this took 17
		t.Errorf("%d of 100,000 were looked at", w.checked)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("%d MiB", grown>>20)
	}
	for _, n := range []int{w.states.Len(), w.repeats.Len(), w.homes.Len(), w.sites.Len()} {
		if n > 1<<16 {
			t.Errorf("%d states", n)
		}
	}
	runtime.KeepAlive(w)
}

// TestSpray: one password each at many accounts, from many addresses of one network, for hours.
func TestSpray(t *testing.T) {
	w := newWorld()
	for i := range 4 * 3600 {
		w.guess(from(i%250, fmt.Sprint("user", i)), uint64(i)+1)
		w.now = w.now.Add(time.Second)
	}
	if w.checked > 5*settings.PerNetwork {
		t.Errorf("%d guesses in four hours", w.checked)
	}
	if v := w.Ask(from(251, "ann"), settings, w.now); v != (Verdict{}) {
		t.Errorf("the network beside it: %+v", v)
	}
	if w.bans != 0 || w.Locked(w.now) == 0 {
		t.Errorf("%d bans, %d locked out", w.bans, w.Locked(w.now))
	}
}

// TestOneGuesser: from one address, one after the other or all at once, there are few guesses; then it is banned.
func TestOneGuesser(t *testing.T) {
	for _, parallel := range []bool{false, true} {
		w := newWorld()
		for i := range 1000 {
			w.guess(at("203.0.113.5", "ann@here.test"), uint64(i)+1)
			if !parallel {
				w.now = w.now.Add(time.Second)
			}
		}
		if w.checked > settings.PerSite || w.waited > settings.MaxDelay {
			t.Errorf("parallel %v: %d were looked at; one waited %v", parallel, w.checked, w.waited)
		}
		if !parallel && w.bans != 0 && w.bans != 1 {
			t.Errorf("%d bans", w.bans)
		}
	}
	w := newWorld()
	for i := range settings.PerSite {
		w.guess(at("203.0.113.5", fmt.Sprint(i)), uint64(i)+1)
		w.now = w.now.Add(settings.MaxDelay)
	}
	if w.bans != 1 {
		t.Errorf("patient: %d bans", w.bans)
	}
	if v := w.Ask(at("203.0.113.5", "somebody"), settings, w.now); v.Refused != SiteLocked {
		t.Errorf("afterwards: %+v", v)
	}
	if !w.Forgive(netip.MustParsePrefix("203.0.113.0/24"), w.now) || w.Forgive(netip.MustParsePrefix("203.0.113.0/24"), w.now) {
		t.Error("only the first time is somebody freed")
	}
	if v := w.Ask(at("203.0.113.5", "somebody"), settings, w.now); v != (Verdict{}) {
		t.Errorf("forgiven: %+v", v)
	}
}

// TestWrongPhone: a telephone with an old password, every ten seconds for a day, from home and from elsewhere: nobody is
// slowed down by it.
func TestWrongPhone(t *testing.T) {
	for _, atHome := range []bool{true, false} {
		w := newWorld()
		ann := at("192.0.2.1", "ann@here.test")
		if atHome {
			w.Succeeded(ann, w.now)
		}
		for range 8640 {
			w.guess(ann, 4711)
			w.now = w.now.Add(10 * time.Second)
		}
		if w.refused+w.bans > 0 || w.waited > 0 {
			t.Errorf("at home %v: %d refused, %d bans, waited %v", atHome, w.refused, w.bans, w.waited)
		}
	}
}

// TestOffice: 300 people behind one address. Some mistype, and one machine in it begins to guess: those who work there go on
// working, the guesser does not, and the address is not banned.
func TestOffice(t *testing.T) {
	w, address := newWorld(), "198.51.100.1"
	person := func(i int) Try { return at(address, fmt.Sprintf("p%d@here.test", i)) }
	for i := range 300 {
		w.Succeeded(person(i), w.now)
	}
	for i := range 300 { // monday morning
		w.guess(person(i), uint64(i)+1)
		if v := w.Ask(person(i), settings, w.now); v != (Verdict{}) {
			t.Fatalf("%d after a typo: %+v", i, v)
		}
	}
	for i := range 5000 {
		w.guess(at(address, fmt.Sprintf("victim%d@here.test", i)), uint64(i)+1000)
		w.now = w.now.Add(time.Second)
		if v := w.Ask(person(i%300), settings, w.now); v != (Verdict{}) {
			t.Fatalf("while another guesses: %+v", v)
		}
	}
	if w.bans != 0 {
		t.Error("the office was banned")
	}
	if v := w.Ask(at(address, "victim@here.test"), settings, w.now); v.Refused == "" && v.Wait == 0 {
		t.Error("the guesser goes on")
	}
	// One who guesses at a colleague's account, from where that is at home, does not guess for ever.
	w.checked = 0
	for i := range 5000 {
		w.guess(person(7), uint64(i)+100_000)
	}
	if w.checked > pairFree+accountFree {
		t.Errorf("%d guesses at a colleague's", w.checked)
	}
}

func TestHomes(t *testing.T) {
	w := newWorld()
	for i := range maxHomes + 1 {
		w.Succeeded(from(i, "ann"), w.now)
	}
	for i, want := range map[int]bool{0: false, 1: true, maxHomes: true} {
		if got := w.home(from(i, "ann"), settings, w.now.UnixNano()); got != want {
			t.Errorf("home %d: %v", i, got)
		}
	}
	if w.home(from(1, "bob"), settings, w.now.UnixNano()) || w.home(from(1, "ann"), settings, w.now.Add(homeFor).UnixNano()) {
		t.Error("at home everywhere")
	}
	if v := w.Ask(Try{Account: "ann"}, settings, w.now); v != (Verdict{}) || w.Failed(Try{Account: "ann"}, 1, settings, w.now) {
		t.Error("who has no address")
	}
}

// TestTogether is for the race detector.
func TestTogether(t *testing.T) {
	g := New(100)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 200 {
				try := from(i*10+j%10, "ann")
				now := noon.Add(time.Duration(j) * time.Second)
				if g.Ask(try, settings, now).Refused == "" {
					g.Failed(try, uint64(i*1000+j+1), settings, now)
				}
				g.Succeeded(from(i, fmt.Sprint(j)), now)
				g.Failing(settings, now)
			}
		})
	}
	group.Wait()
	if n := g.states.Len(); n == 0 || n > 100 {
		t.Error(n)
	}
}
