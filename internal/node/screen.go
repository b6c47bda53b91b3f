package node

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/greylist"
	"github.com/postrider/postrider/internal/decide/recall"
	"github.com/postrider/postrider/internal/decide/screen"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/remember"
)

// strangers is what is known of clients that nobody knows: who passed the tests, whom we sent mail to, what greylisting saw.
// All of it is in memory; changes are written behind, strangerPace apart.
type strangers struct {
	node   *Node
	screen *screen.Screen
	grey   *greylist.List
	store  *remember.Store
	policy atomic.Pointer[strangerPolicy]
	live   sync.Map // trialOf a connection → *trial, of clients whose tests are not over
	warned sync.Map // domain of a DNS list, or table → when its trouble was logged
	cancel context.CancelFunc
	done   chan struct{}
}

// A crash forgets what was learnt since the last write.
const (
	strangerPace  = 30 * time.Second
	strangerPrune = time.Hour
	warnEvery     = time.Minute
)

// openStrangers reads what the last run has learnt.
func (n *Node) openStrangers(ctx context.Context, c *config.Config) error {
	s := &strangers{node: n, store: &remember.Store{DB: n.db}, grey: greylist.New(greylistSettings(c))}
	s.screen = screen.New(screenSettings(c), c.Screen.CacheClients, func(e obs.Screened) { n.events.Emit(e) })
	for _, m := range s.memories() {
		err := s.store.Load(ctx, m.kind, n.opt.Now(), func(e remember.Entry) {
			m.restore(recall.Item{Key: e.Name, Value: e.Value, Until: e.Until})
		})
		if err != nil {
			return err
		}
	}
	n.strangers = s
	gauge := func(name, help string, value func() int) {
		n.metrics.GaugeFunc(name, help, func() float64 { return float64(value()) })
	}
	gauge("screen_passed_clients", "Clients remembered that have passed the tests.", func() int { passed, _, _ := s.screen.Sizes(); return passed })
	gauge("screen_known_networks", "Networks that we sent mail to, or where users logged in.", func() int { _, known, _ := s.screen.Sizes(); return known })
	gauge("screen_waiting", "Clients that wait for the greeting.", func() int { _, _, waiting := s.screen.Sizes(); return waiting })
	gauge("greylist_entries", "Triplets and networks that greylisting remembers.", s.grey.Len)
	return nil
}

// kept is one kind of memory, as it is written down.
type kept struct {
	kind    string
	restore func(recall.Item)
	drain   func() ([]recall.Item, []string)
	undrain func([]recall.Item, []string)
}

func (s *strangers) memories() []kept {
	now := s.node.opt.Now
	all := []kept{{greylist.Kind, func(i recall.Item) { s.grey.Restore(now(), i) },
		func() ([]recall.Item, []string) { return s.grey.Drain(now()) }, s.grey.Undrain}}
	for _, kind := range []string{screen.KindPassed, screen.KindKnown} {
		all = append(all, kept{kind, func(i recall.Item) { s.screen.Restore(now(), kind, i) },
			func() ([]recall.Item, []string) { return s.screen.Drain(now(), kind) },
			func(put []recall.Item, removed []string) { s.screen.Undrain(kind, put, removed) }})
	}
	return all
}

// flush writes down what was learnt. What cannot be written is tried again the next time.
func (s *strangers) flush(ctx context.Context) error {
	for _, m := range s.memories() {
		put, removed := m.drain()
		rows := make([]remember.Entry, len(put))
		for i, p := range put {
			rows[i] = remember.Entry{Name: p.Key, Value: p.Value, Until: p.Until}
		}
		if err := s.store.Change(ctx, m.kind, rows, removed); err != nil {
			m.undrain(put, removed)
			return err
		}
	}
	return nil
}

// start begins to write in the background; stop ends that with a last write.
func (s *strangers) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go func() {
		defer close(s.done)
		tick, prune := time.NewTicker(strangerPace), time.NewTicker(strangerPrune)
		defer tick.Stop()
		defer prune.Stop()
		for {
			var err error
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				err = s.flush(ctx)
			case <-prune.C:
				err = s.store.Prune(ctx, s.node.opt.Now())
			}
			if err != nil && ctx.Err() == nil {
				s.node.log.Warn("what was learnt of clients could not be written; it will be tried again", obs.KeyError, err)
			}
		}
	}()
}

func (s *strangers) stop(ctx context.Context) error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	<-s.done
	return s.flush(ctx)
}

// acquaintances hears of outcomes: whom we sent mail to, and where our users log in, is no stranger.
type acquaintances struct{ node *Node }

// Emit notes a network, whether or not clients are tested: greylisting asks too.
func (a acquaintances) Emit(e obs.Event) {
	s := a.node.strangers
	if s == nil {
		return
	}
	switch e := e.(type) {
	case obs.Delivery:
		if addr, ok := relayAddress(e.Relay); ok && e.Outcome == obs.Sent && e.Transport == "smtp" {
			s.screen.Meet(a.node.opt.Now(), addr)
		}
	case obs.Login:
		s.screen.Meet(a.node.opt.Now(), e.Addr.Addr().Unmap())
	}
}

// relayAddress takes the address out of "name[address]:port".
func relayAddress(relay string) (netip.Addr, bool) {
	_, rest, ok := strings.Cut(relay, "[")
	text, _, closed := strings.Cut(rest, "]")
	if !ok || !closed || net.ParseIP(text) == nil {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text)
	return addr, err == nil
}
