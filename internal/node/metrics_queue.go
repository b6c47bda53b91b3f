package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/obs/metrics"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

const (
	figuresFor  = 5 * time.Second // all gauges of one reading, and of readers that hurry, are of one count
	figuresWait = 5 * time.Second
	shownSites  = 20 // sites that have a label of their own because they are the largest
	ownSite     = "mailbox"
)

// queueFigures are the queue's numbers as the gauges show them. Counting a large queue takes longer than a reader of metrics
// waits: it goes on behind the reader, who is given the count before.
type queueFigures struct {
	now   func() time.Time
	count func(context.Context) (queue.Stats, error)
	list  func() []sched.SiteInfo

	ctx    context.Context // of counts
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu       sync.Mutex
	at       time.Time     // of the last answer; zero: there was none
	asked    time.Time     // when somebody waited last
	counting chan struct{} // closed when the count under way has ended; nil: there is none
	stats    queue.Stats
	sites    []sched.SiteInfo
}

func newQueueFigures(now func() time.Time, count func(context.Context) (queue.Stats, error), list func() []sched.SiteInfo) *queueFigures {
	f := &queueFigures{now: now, count: count, list: list}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// stop ends a count that is under way.
func (f *queueFigures) stop() {
	f.mu.Lock() // no count begins after this
	f.cancel()
	f.mu.Unlock()
	f.group.Wait()
}

// get counts, unless that was done just now. All gauges of one reading wait together, and not longer than figuresWait: then
// they show what was counted last. Nothing is known until the first count has ended.
func (f *queueFigures) get() (stats queue.Stats, sites []sched.SiteInfo, known bool) {
	f.mu.Lock()
	if f.ctx.Err() == nil && !f.recent(f.at) && f.counting == nil {
		done := make(chan struct{})
		f.counting, f.asked = done, f.now()
		f.group.Go(func() { f.recount(done) })
	}
	counting, wait := f.counting, figuresWait-f.now().Sub(f.asked)
	f.mu.Unlock()
	if counting != nil && wait > 0 {
		timer := time.NewTimer(min(wait, figuresWait))
		defer timer.Stop()
		select {
		case <-counting:
		case <-timer.C:
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats, f.sites, !f.at.IsZero()
}

func (f *queueFigures) recent(at time.Time) bool {
	age := f.now().Sub(at)
	return !at.IsZero() && age >= 0 && age < figuresFor
}

// recount counts and then closes done.
func (f *queueFigures) recount(done chan struct{}) {
	stats, err := f.count(f.ctx)
	sites := f.list()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.stats, f.sites, f.at = stats, sites, f.now()
	}
	f.counting = nil
	close(done)
}

// watchQueue makes the gauges of the queue and its sites.
func (n *Node) watchQueue() {
	n.nameSites(n.sites.Load())
	n.figures = newQueueFigures(n.opt.Now, n.queue.Stats, n.queue.Sites)
	f := n.figures
	byState := func(name, help string, of func(queue.Count) float64) {
		n.metrics.GaugeSet(name, help, "state", func() map[string]float64 {
			s, _, known := f.get()
			if !known {
				return nil
			}
			out := map[string]float64{}
			for _, state := range []string{"incoming", "active", "deferred", "hold"} {
				out[state] = of(s.States[state])
			}
			for state, c := range s.States {
				out[state] = of(c)
			}
			return out
		})
	}
	bySite := func(name, help string, of func(queue.Count) float64, merge func(a, b float64) float64) {
		n.metrics.GaugeSet(name, help, "site", func() map[string]float64 {
			s, _, _ := f.get()
			return n.largestSites(s.Sites, of, merge)
		})
	}
	recipients := func(c queue.Count) float64 { return float64(c.Recipients) }
	oldest := func(c queue.Count) float64 { return n.age(c.Oldest) }
	byState("queue_recipients", "Recipients in the queue, by the state of their message.", recipients)
	byState("queue_bytes", "Bytes of the messages in the queue.", func(c queue.Count) float64 { return float64(c.Bytes) })
	byState("queue_oldest_seconds", "Age of the oldest message in the queue.", oldest)
	bySite("queue_site_recipients", "Recipients in the queue, by site.", recipients, func(a, b float64) float64 { return a + b })
	bySite("queue_site_oldest_seconds", "Age of the oldest message to a site.", oldest, func(a, b float64) float64 { return max(a, b) })
	n.metrics.GaugeSet("queue_age_messages", "Messages in the queue by age: up to so many minutes, and more than the value before.", "minutes", func() map[string]float64 {
		s, _, known := f.get()
		if !known {
			return nil
		}
		out := map[string]float64{}
		for i, count := range s.Total.Ages {
			out[ageLabel(i)] = float64(count)
		}
		return out
	})
	n.watchSites(f)
}

// watchSites makes the gauges of what the scheduler gives to sites.
func (n *Node) watchSites(f *queueFigures) {
	n.metrics.GaugeFunc("sites_resting", "Sites that are not tried at present because nobody answered there.", func() float64 {
		_, sites, _ := f.get()
		count := 0
		for _, s := range sites {
			if s.Rest != nil {
				count++
			}
		}
		return float64(count)
	})
	shown := func(name, help string, of func(sched.SiteInfo) float64, merge func(a, b float64) float64) {
		n.metrics.GaugeSet(name, help, "site", func() map[string]float64 {
			_, sites, _ := f.get()
			return n.firstSites(sites, of, merge)
		})
	}
	sum := func(a, b float64) float64 { return a + b }
	shown("site_rest_seconds", "How long a site has not been tried because nobody answered there; 0: it is tried.", func(s sched.SiteInfo) float64 {
		if s.Rest == nil {
			return 0
		}
		return n.age(s.Rest.Since)
	}, func(a, b float64) float64 { return max(a, b) })
	shown("site_in_flight", "Deliveries to a site under way.", func(s sched.SiteInfo) float64 { return float64(s.Flying) }, sum)
	shown("site_waiting", "Deliveries to a site that are due and wait for their turn.", func(s sched.SiteInfo) float64 { return float64(s.Ready) }, sum)
	shown("site_limit", "Deliveries that a site may have under way now.", func(s sched.SiteInfo) float64 { return float64(s.Limit) }, sum)
}

// firstSites gives the sites that were named and the first others a value of their own: the scheduler lists those that rest
// first, then by what is due. The rest share one.
func (n *Node) firstSites(sites []sched.SiteInfo, of func(sched.SiteInfo) float64, merge func(a, b float64) float64) map[string]float64 {
	out := map[string]float64{metrics.OtherSite: 0}
	own := 0
	for _, s := range sites {
		label := s.Name
		if n.metrics.SiteLabel(s.Name) == metrics.OtherSite {
			if own++; own > shownSites {
				label = metrics.OtherSite
			}
		}
		v := of(s)
		if have, ok := out[label]; ok { // one name by SMTP and LMTP, or one of many
			v = merge(have, v)
		}
		out[label] = v
	}
	return out
}

// largestSites gives the sites that were named and the largest others a value of their own; the rest share one.
func (n *Node) largestSites(sites map[string]queue.Count, of func(queue.Count) float64, merge func(a, b float64) float64) map[string]float64 {
	names := make([]string, 0, len(sites))
	for name := range sites {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(sites[b].Recipients, sites[a].Recipients), cmp.Compare(a, b))
	})
	out := map[string]float64{}
	own := 0
	for _, name := range names {
		label := name
		switch {
		case name == "":
			label = ownSite
		case n.metrics.SiteLabel(name) != metrics.OtherSite:
		case own == shownSites:
			label = metrics.OtherSite
		default:
			own++
		}
		v := of(sites[name])
		if have, ok := out[label]; ok {
			v = merge(have, v)
		}
		out[label] = v
	}
	return out
}

// age is the time since a moment in seconds; 0 if there is none.
func (n *Node) age(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, n.opt.Now().Sub(t).Seconds())
}

func ageLabel(i int) string {
	if i < len(queue.AgeBounds) {
		return fmt.Sprintf("%.0f", queue.AgeBounds[i].Minutes())
	}
	return "more"
}

// nameSites gives the sites that presets and the configuration name their labels.
func (n *Node) nameSites(p *sitePolicy) {
	names := make([]string, 0, len(p.policy.Sites))
	for name := range p.policy.Sites {
		names = append(names, name)
	}
	n.metrics.NameSites(names)
}
