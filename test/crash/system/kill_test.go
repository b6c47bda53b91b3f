package system

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/test/needs"
)

const (
	killSenders = 6
	maxPlaces   = 120 // of one account, beyond which its client makes room
)

var killAccounts = []string{"alice", "bob", "carol"}

// TestKill kills the server with SIGKILL at random moments, under load and while it starts, and has it go on: nothing
// acknowledged is lost, nothing is there twice, nothing is damaged, flags and expunges that were acknowledged hold, and
// what a command was doing when it was cut off is done in whole or not at all. What goes to another host gets there at least
// once; how much got there twice is reported.
//
// CRASH_SECONDS says how long it goes on.
func TestKill(t *testing.T) {
	needs.Quick(t, "kills take their time")
	end := time.Now().Add(needs.Duration(t, "CRASH_SECONDS", time.Minute))
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	k := &killer{t: t, model: NewModel(killAccounts), rand: rand.New(rand.NewPCG(seed, 0))}
	sink, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	k.server = Server{Bin: build(t, ""), Dir: filepath.Join(t.TempDir(), "data"), Accounts: killAccounts, Forward: "reader@remote.example",
		Sets: []string{`mta.smart_host.host = "[127.0.0.1]"`, fmt.Sprintf("mta.smart_host.port = %d", sink.Port()),
			`mta.smart_host.tls = "none"`, `mta.retry = ["1s"]`}}
	for time.Now().Before(end) && !t.Failed() {
		k.round()
	}
	k.last()
	times, err := sink.Times()
	if err := errors.Join(err, k.model.CheckRemote(times)); err != nil {
		t.Error(err)
	}
	t.Log(k.model.Report)
	if r := k.model.Report; r.Delivered == 0 || r.Appended == 0 || r.Changed == 0 || r.Remote == 0 || r.Kills == 0 {
		t.Error("the load was none")
	}
}

// killer is the test's state.
type killer struct {
	t      *testing.T
	model  *Model
	rand   *rand.Rand
	server Server
	serial int // of rounds
}

// round is one life of the server.
func (k *killer) round() {
	k.serial++
	if k.rand.IntN(5) == 0 { // killed while it starts, replays, delivers what the last life left
		p, _, err := k.server.Launch(k.t.Context())
		if err != nil {
			k.t.Fatal(err)
		}
		time.Sleep(time.Duration(k.rand.IntN(100)) * time.Millisecond)
		p.Kill()
		k.model.Report.Kills++
		return
	}
	life := time.Duration(10+k.rand.IntN(300)) * time.Millisecond
	k.server.Speed = 1
	if k.rand.IntN(10) == 0 { // some minutes, in which rows are written and ledgers cleaned
		k.server.Speed = 60
		life = time.Duration(1000+k.rand.IntN(2000)) * time.Millisecond
	}
	started := time.Now()
	p := k.start()
	k.check(p, false)
	k.load(p, life)
	k.server.Ahead += time.Since(started) * time.Duration(k.server.Speed-1) // its clock never goes back
	k.model.Report.Kills++
}

func (k *killer) start() *Process {
	p, err := k.server.Start(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(p.Kill)
	return p
}

// check compares the mailboxes with the model.
func (k *killer) check(p *Process, bodies bool) {
	if err := p.Quiet(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
	for _, account := range killAccounts {
		c, err := DialIMAP(p.Addr["imaps"], account)
		if err != nil {
			k.t.Fatal(err)
		}
		var all []Found
		for _, mailbox := range Mailboxes {
			need := k.model.unknown(account, mailbox)
			if bodies {
				need = nil
			}
			list, err := c.List(mailbox, need)
			if err != nil {
				k.t.Fatal(err)
			}
			all = append(all, list...)
		}
		c.Close()
		if err := k.model.Check(account, all); err != nil {
			k.t.Errorf("after %d kills: %v\nserver's log:\n%s", k.model.Report.Kills, err, p.Log())
		}
	}
}

// load has clients work until the server is killed under them.
func (k *killer) load(p *Process, life time.Duration) {
	var wg sync.WaitGroup
	errs := make([]error, killSenders+len(killAccounts))
	for i := range killSenders {
		r := rand.New(rand.NewPCG(k.rand.Uint64(), 0))
		wg.Go(func() { errs[i] = k.send(p, fmt.Sprintf("kill-%d-%d", k.serial, i), r) })
	}
	for i, account := range killAccounts {
		r := rand.New(rand.NewPCG(k.rand.Uint64(), 0))
		wg.Go(func() {
			w := &worker{k.model, account, r, fmt.Sprintf("file-%d-%d", k.serial, i), nil, ""}
			errs[killSenders+i] = w.run(p.Addr["imaps"])
		})
	}
	time.Sleep(life)
	p.Kill()
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		k.t.Errorf("%v\nserver's log:\n%s", err, p.Log())
	}
}

// send is one sender's session. That the server goes away is no error, that it refuses is.
func (k *killer) send(p *Process, name string, r *rand.Rand) error {
	c, err := DialSMTP(p.Addr["smtp"])
	if err != nil {
		return refusal(err)
	}
	defer c.Close()
	for n := 0; ; n++ {
		m := Mail{Token: fmt.Sprintf("%s-%d-end", name, n), Size: 400 + r.IntN(8000), Bdat: r.IntN(2) == 0, Hint: r.IntN(2) == 0}
		switch r.IntN(20) {
		case 0:
			m.Size = large
		case 1, 2:
			m.Size = 60_000
		}
		for _, i := range r.Perm(len(killAccounts))[:1+r.IntN(2)] {
			m.To = append(m.To, killAccounts[i])
		}
		if r.IntN(5) == 0 {
			m.To = append(m.To, "forward")
		}
		k.model.Sending(m.Token, m.To)
		_, err := c.Send(m)
		k.model.Sent(m.Token, m.To, err)
		if err != nil {
			return refusal(err)
		}
	}
}

// refusal passes on what a server that lives would not have done.
func refusal(err error) error {
	var refused *Refused
	if errors.As(err, &refused) {
		return err
	}
	return nil
}

// last looks at everything once more, bodies included, and stops the server, which checks its own invariants.
func (k *killer) last() {
	p := k.start()
	k.check(p, true)
	if err := p.Stop(); err != nil {
		k.t.Error(err)
	}
	if log := p.Log(); strings.Contains(log, "level=ERROR") {
		k.t.Errorf("the server's log: %s", log)
	}
}
