// Package destinations shows that destinations do not notice each other: mail for 200 of them, of which 20 are dead (half
// refuse connections, half take them and say nothing) and 20 slow, leaves a running Postrider, and what the healthy ones get
// is as fast as when all are healthy. Every destination has an address of its own on loopback and a name in a test DNS.
//
//	go test ./test/bench/destinations -write    as long as the plot of docs/benchmarks-destinations.svg was made, and writes it
//
// Files: destinations_test.go (the scenario) · host_test.go (the destinations) · source_test.go (the mail) · report_test.go.
package destinations

import (
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

var write = flag.Bool("write", false, "measure for longer and write docs/benchmarks-destinations.svg and .md")

const (
	destinations = 200
	dead         = 20
	slowOnes     = 20
	slowReply    = time.Second
	stride       = 7 // from one destination to the next; prime to their number, so that all get the same
	rate         = 200
	patience     = time.Minute
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// kindOf spreads the dead and the slow among the healthy.
func kindOf(number int) kind {
	switch number % 10 {
	case 3:
		return slow
	case 6:
		if number%20 < 10 {
			return refused
		}
		return mute
	}
	return healthy
}

func domain(number int) string { return fmt.Sprintf("d%03d.example", number) }

// TestHealthyDestinationsDoNotNotice sends the same mail twice: with every destination healthy, and with trouble.
func TestHealthyDestinationsDoNotNotice(t *testing.T) {
	needs.Quick(t, "mail is sent for some seconds")
	long := 3 * time.Second
	if *write {
		long = 60 * time.Second
	}
	calm := scenario(t, long, func(int) kind { return healthy })
	trouble := scenario(t, long, kindOf)
	for _, k := range []kind{healthy, slow} {
		if trouble.lost[k] > 0 {
			t.Errorf("%d messages for %v destinations did not arrive", trouble.lost[k], k)
		}
	}
	if calm.lost[healthy] > 0 {
		t.Errorf("%d messages did not arrive while all was well", calm.lost[healthy])
	}
	if len(trouble.took[refused])+len(trouble.took[mute]) > 0 {
		t.Error("mail arrived at a destination that is dead")
	}
	well, ill := quantiles(trouble.took[healthy]), quantiles(trouble.took[slow])
	t.Logf("all healthy: %v; with trouble: healthy %v, slow %v", quantiles(calm.took[healthy]), well, ill)
	// Far from a bound that a busy machine could touch: who waits behind the slow waits as long as they.
	if well.p90 > ill.p50/2 {
		t.Errorf("healthy destinations wait %v (p90), the slow ones %v (p50)", well.p90, ill.p50)
	}
	if *write {
		report(t, long, calm, trouble)
	}
}

// outcome is what came of one run.
type outcome struct {
	took [4][]time.Duration // by kind
	lost [4]int             // promised and not arrived, by kind
}

func scenario(t *testing.T, long time.Duration, kinds func(int) kind) (o outcome) {
	var mu sync.Mutex
	var came [destinations]int
	port := freePort(t)
	var zone strings.Builder
	for i := range destinations {
		fmt.Fprintf(&zone, "%s. 300 IN MX 10 mx.%s.\nmx.%s. 300 IN A %s\n", domain(i), domain(i), domain(i), address(i))
		h := &host{number: i, kind: kinds(i), got: func(a arrival) {
			mu.Lock()
			defer mu.Unlock()
			came[a.number]++
			o.took[kinds(a.number)] = append(o.took[kinds(a.number)], a.took)
		}}
		if h.kind == slow {
			h.delay = slowReply
		}
		if err := h.listen(port); err != nil {
			t.Fatal(err)
		}
		defer h.close()
	}
	s := system.Start(t, system.Options{Set: []string{
		fmt.Sprintf("dns.resolvers = [%q]", dnstest.New(t, zone.String()).Listen(t)), fmt.Sprintf("mta.port = %d", port),
		`submission.trusted_networks = ["127.0.0.1"]`, "submission.require_sender_ownership = false"}})
	defer s.Kill(t)
	promised := offer(t, s.Listeners["submission"], rate, long)
	missing := func() (lost [4]int, all int) {
		mu.Lock()
		defer mu.Unlock()
		for i, n := range promised {
			if k := kinds(i); k == healthy || k == slow {
				lost[k] += max(0, n-came[i])
				all += max(0, n-came[i])
			}
		}
		return lost, all
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, all := missing(); all == 0 {
			break
		}
	}
	o.lost, _ = missing()
	return o
}

// freePort is one that nobody uses on any address of loopback.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// spread is some quantiles.
type spread struct{ p50, p90, p99, most time.Duration }

func (s spread) String() string {
	return fmt.Sprintf("p50 %v, p90 %v, p99 %v, most %v", s.p50.Round(10*time.Microsecond), s.p90.Round(10*time.Microsecond),
		s.p99.Round(10*time.Microsecond), s.most.Round(10*time.Microsecond))
}

func quantiles(list []time.Duration) spread {
	if len(list) == 0 {
		return spread{}
	}
	list = slices.Sorted(slices.Values(list))
	at := func(q float64) time.Duration { return list[min(len(list)-1, int(q*float64(len(list))))] }
	return spread{at(0.5), at(0.9), at(0.99), list[len(list)-1]}
}
