package metrics

import (
	"sync"

	"github.com/postrider/postrider/internal/obs"
)

// deliveries are what the outcomes of recipients add up to.
type deliveries struct {
	ended    func(values ...string) Counter
	deferred func(values ...string) Counter
	bounced  func(values ...string) Counter
	delay    Histogram
	phases   [4]Histogram
}

// The bounds of the histograms, in seconds. Mail takes from a millisecond to days.
func delayBuckets() []float64 {
	return []float64{0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 60, 300, 600, 3600, 14400, 86400, 432000}
}

func newDeliveries(m *Metrics) deliveries {
	d := deliveries{
		ended:    m.CounterVec("deliveries_total", "Attempts, one for each recipient.", "transport", "status"),
		deferred: m.CounterVec("deferrals_total", "Recipients put off by an attempt, by why.", "transport", "class"),
		bounced:  m.CounterVec("bounces_total", "Recipients given up, by why.", "transport", "class"),
		delay:    m.Histogram("delivery_delay_seconds", "Time from arrival to final delivery of a recipient.", delayBuckets()),
	}
	phase := m.HistogramVec("delivery_phase_seconds", "The delay of delivered recipients by phase, in the letters of delays= in the log: "+
		"a before the attempt was due, b in the queue, c connection set-up, d transmission.", delayBuckets(), "phase")
	for i, letter := range [...]string{"a", "b", "c", "d"} {
		d.phases[i] = phase(letter)
	}
	return d
}

func (d *deliveries) count(e *obs.Delivery) {
	d.ended(e.Transport, string(e.Outcome)).Inc()
	switch e.Outcome {
	case obs.Sent:
		d.delay.Observe(e.Delay.Seconds())
		for i, phase := range d.phases {
			phase.Observe(e.Delays[i].Seconds())
		}
	case obs.Deferred:
		d.deferred(e.Transport, knownClass(e.Class)).Inc()
	case obs.Bounced, obs.Expired:
		d.bounced(e.Transport, knownClass(e.Class)).Inc()
	}
}

func knownClass(class string) string {
	if class == "" {
		return "other"
	}
	return class
}

// attempts are what the tries of hosts add up to.
type attempts struct {
	made     func(values ...string) Counter
	tls      func(values ...string) Counter
	connect  Histogram
	duration Histogram
	sites    *siteNames
}

func newAttempts(m *Metrics) attempts {
	return attempts{
		made:     m.CounterVec("attempts_total", "Hosts tried, by site, the last phase reached, and whether a connection was used again.", "site", "phase", "reused"),
		tls:      m.CounterVec("attempt_tls_total", "Hosts that were spoken to, by what TLS proved of them: verified, fingerprint, unverified, none.", "trust"),
		connect:  m.Histogram("attempt_connect_seconds", "Time until a new connection was ready for a message.", delayBuckets()),
		duration: m.Histogram("attempt_duration_seconds", "Time that one attempt at a host took.", delayBuckets()),
		sites:    &siteNames{},
	}
}

func (a *attempts) count(e *obs.Attempt) {
	reused := "false"
	if e.Reused {
		reused = "true"
	}
	a.made(a.sites.label(e.Site), e.Phase, reused).Inc()
	a.duration.Observe(e.Duration.Seconds())
	if e.Phase == "dns" || e.Phase == "connect" {
		return // nobody was spoken to
	}
	trust := e.Trust
	if e.TLS == "" {
		trust = "none"
	}
	a.tls(trust).Inc()
	if !e.Reused {
		a.connect.Observe(e.Connect.Seconds())
	}
}

// OtherSite is the label of all sites that have none of their own.
const OtherSite = "other"

// siteNames bounds the values of a label: only the sites that were named have one of their own. Names of other sites are
// the choice of whoever gets mail.
type siteNames struct {
	mu    sync.RWMutex
	known map[string]bool
}

func (s *siteNames) label(site string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.known[site] {
		return site
	}
	return OtherSite
}

// SiteLabel is the value of the label for a site.
func (m *Metrics) SiteLabel(site string) string { return m.events.attempt.sites.label(site) }

// NameSites says which sites have a label of their own from now on; all others count as OtherSite.
func (m *Metrics) NameSites(names []string) {
	known := make(map[string]bool, len(names))
	for _, n := range names {
		known[n] = true
	}
	s := m.events.attempt.sites
	s.mu.Lock()
	s.known = known
	s.mu.Unlock()
}
