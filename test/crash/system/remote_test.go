package system

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/test/needs"
)

const (
	hops          = 6 // domains elsewhere, each with an exchanger of its own
	remoteSenders = 4
)

// TestKillRemote kills the server with SIGKILL at random moments while it sends mail to several domains whose exchangers
// defer it, turn it away, hang up in the midst of a message or before their reply: whatever a sender got a 250 for has
// reached every one of its recipients at least once in the end, whole, through any number of deferrals and kills. How much
// got there more than once is reported; a next hop that hangs up behind the message makes it so by itself.
func TestKillRemote(t *testing.T) {
	needs.Quick(t, "kills take their time")
	bin := build(t, "")
	began := time.Now()
	seed := uint64(began.UnixNano())
	t.Log("seed", seed)
	k := &remoteKiller{t: t, rand: rand.New(rand.NewPCG(seed, 0)), owed: map[string]bool{}}
	zone, port := k.listen(seed)
	k.server = Server{Bin: bin, Dir: filepath.Join(t.TempDir(), "data"), Accounts: []string{"alice"},
		Sets: []string{fmt.Sprintf("dns.resolvers = [%q]", dnstest.New(t, zone).Listen(t)), fmt.Sprintf("mta.port = %d", port),
			`mta.tls = "none"`, `mta.retry = ["1s"]`}}
	for end := began.Add(needs.Duration(t, "CRASH_SECONDS", time.Minute) / 4); !t.Failed() && time.Now().Before(end); {
		k.life()
	}
	deferred := k.finish()
	sum := k.balance()
	t.Logf("%d kills; %d recipients owed, %d of them deferred when the hops calmed down; lost %d, more than once %d; moods: "+
		"deferred at RCPT %d, behind the message %d, hung up in the midst %d, before the reply %d, turned away %d", k.kills, len(k.owed), deferred,
		sum.lost, sum.again, sum.moods[defersRcpt], sum.moods[defersEnd], sum.moods[leaves], sum.moods[forgets], sum.moods[turnsAway])
	t.Logf(`{"test":"TestKillRemote","kills":%d,"acknowledged":%d,"lost":%d,"remote_duplicates":%d,"seconds":%.0f}`, k.kills, len(k.owed),
		sum.lost, sum.again, time.Since(began).Seconds())
	if k.kills*len(k.owed)*deferred == 0 {
		t.Error("the load was none")
	}
}

type remoteKiller struct {
	t      *testing.T
	rand   *rand.Rand
	server Server
	hops   []*Hop
	kills  int
	serial int

	mu   sync.Mutex
	owed map[string]bool // "recipient token"
}

// listen starts the exchangers: one port, an address of loopback for each (RFC 1122 §3.2.1.3).
func (k *remoteKiller) listen(seed uint64) (zone string, port int) {
	l, err := net.Listen("tcp", ":0") // free on every address
	if err != nil {
		k.t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	for i := range hops {
		address := fmt.Sprintf("127.8.0.%d", i+1)
		h, err := ListenHop(fmt.Sprintf("%s:%d", address, port), seed+uint64(i))
		if err != nil {
			k.t.Fatal(err)
		}
		k.t.Cleanup(func() { h.Close() })
		k.hops = append(k.hops, h)
		zone += fmt.Sprintf("hop%d.example. 60 IN MX 10 mx.hop%d.example.\nmx.hop%d.example. 60 IN A %s\n", i, i, i, address)
	}
	return zone, port
}

// life is one life of the server.
func (k *remoteKiller) life() {
	k.serial++
	p, err := k.server.Start(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(p.Kill)
	var wg sync.WaitGroup
	errs := make([]error, remoteSenders)
	for i := range remoteSenders {
		r := rand.New(rand.NewPCG(k.rand.Uint64(), 0))
		wg.Go(func() { errs[i] = k.send(p, fmt.Sprintf("%skill-%d-%d", submitted, k.serial, i), r) })
	}
	life := time.Duration(50+k.rand.IntN(400)) * time.Millisecond
	if k.rand.IntN(4) == 0 { // what waits is tried again, in the midst of what comes
		time.Sleep(life / 2)
		life /= 2
		_ = k.flush(k.t.Context()) // it may be starting yet
	}
	time.Sleep(life)
	p.Kill()
	k.kills++
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		k.t.Errorf("%v\nserver's log:\n%s", err, p.Log())
	}
}

// send sends until the server is gone. That is no error, a refusal is.
func (k *remoteKiller) send(p *Process, name string, r *rand.Rand) error {
	c, err := DialSubmission(p.Addr["submissions"], "alice")
	if err != nil {
		return refusal(err)
	}
	defer c.Close()
	for n := 0; ; n++ {
		m := Mail{Token: fmt.Sprintf("%s-%d-end", name, n), Size: 400 + r.IntN(6000)}
		for _, i := range r.Perm(hops)[:1+r.IntN(3)] {
			m.To = append(m.To, fmt.Sprintf("reader@hop%d.example", i))
		}
		if _, err := c.Send(m); err != nil {
			return refusal(err)
		}
		k.mu.Lock()
		for _, to := range m.To {
			k.owed[to+" "+m.Token] = true
		}
		k.mu.Unlock()
	}
}

func (k *remoteKiller) flush(ctx context.Context) error {
	c, err := admin.Dial(ctx, filepath.Join(k.server.Dir, "run"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.ChangeJobs(ctx, admin.JobsChange{Action: admin.Flush, All: true})
	return err
}

// finish has the hops take everything and waits until nothing is left in the queue. It returns how many messages were
// deferred before.
func (k *remoteKiller) finish() (deferred int) {
	p, err := k.server.Start(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(p.Kill)
	n, err := p.Metric(k.t.Context(), "queue_deferred", "queue_active")
	if err != nil {
		k.t.Fatal(err)
	}
	for _, h := range k.hops {
		h.Calm()
	}
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		left, err := p.Metric(k.t.Context(), "queue_incoming", "queue_active", "queue_deferred", "queue_hold", "journal_unsettled")
		if err == nil && left > 0 {
			err = k.flush(k.t.Context())
		}
		if err != nil {
			k.t.Fatal(err)
		}
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			k.t.Fatalf("%.0f messages are still in the queue: %s", left, p.Log())
		}
	}
	if err := p.Stop(); err != nil {
		k.t.Error(err)
	}
	return int(n)
}

type remoteBalance struct {
	lost, again int
	moods       [moods]int
}

// balance compares what was owed with what came.
func (k *remoteKiller) balance() (b remoteBalance) {
	came := map[string]int{}
	for _, h := range k.hops {
		times, err := h.Times()
		if err != nil {
			k.t.Error(err)
		}
		for what, n := range times {
			came[what] += n
		}
		for i, n := range h.Moods {
			b.moods[i] += n
		}
	}
	for what := range k.owed {
		switch n := came[what]; {
		case n == 0:
			b.lost++
			k.t.Errorf("%s was acknowledged and never arrived", what)
		case n > 1:
			b.again++
		}
	}
	return b
}
