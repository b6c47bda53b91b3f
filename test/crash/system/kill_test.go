package system

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/test/needs"
)

const (
	killSenders = 6
	maxPlaces   = 120 // of one account, beyond which its client makes room
)

var killAccounts = []string{"alice", "bob", "carol"}

// TestKill kills the server with SIGKILL at random moments, under load and while it starts, checkpoints, compacts and
// sweeps, and has it go on: nothing acknowledged is lost, nothing is there twice, nothing is damaged, flags and expunges that
// were acknowledged hold, and what a command was doing when it was cut off is done in whole or not at all. What goes to
// another host gets there at least once; how much got there twice is reported.
//
// Packs and the database's log are small, and the server's clock jumps a day ahead at times, so that all of a pack's life
// happens within seconds. CRASH_KILLS says how many kills, else CRASH_SECONDS how long it goes on.
func TestKill(t *testing.T) {
	needs.Quick(t, "kills take their time")
	bin := build(t, "")
	began := time.Now()
	end := began.Add(needs.Duration(t, "CRASH_SECONDS", time.Minute))
	kills := needs.Count(t, "CRASH_KILLS", 0)
	seed := uint64(began.UnixNano())
	t.Log("seed", seed)
	k := &killer{t: t, model: NewModel(killAccounts), rand: rand.New(rand.NewPCG(seed, 0))}
	sink, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	k.sink = sink
	k.server = Server{Bin: bin, Dir: filepath.Join(t.TempDir(), "data"), Accounts: killAccounts, Forward: "reader@remote.example",
		Sets: []string{`mta.smart_host.host = "[127.0.0.1]"`, fmt.Sprintf("mta.smart_host.port = %d", sink.Port()),
			`mta.smart_host.tls = "none"`, `mta.retry = ["1s"]`, `store.keep_expunged = "1h"`, `store.upkeep_interval = "5s"`,
			`store.compact_after = "0s"`, rewriting(t)}}
	for !t.Failed() && (kills > 0 && k.model.Report.Kills < kills || kills == 0 && time.Now().Before(end)) {
		k.round()
	}
	k.last()
	report := k.model.Report
	t.Log(report)
	t.Log(report.Line("TestKill", time.Since(began).Seconds()))
	t.Logf("data directory: %s", k.size())
	if r := report; r.Delivered*r.Appended*r.Changed*r.Remote*r.Kills*r.Upkeeps == 0 {
		t.Error("the load was none")
	}
}

// killer is the test's state.
type killer struct {
	t      *testing.T
	model  *Model
	sink   *Sink
	rand   *rand.Rand
	server Server
	serial int // of rounds
}

// round is one life of the server.
func (k *killer) round() {
	k.serial++
	k.server.Pack = []int64{0, 64 << 10, 256 << 10, 1 << 20}[k.rand.IntN(4)]
	k.server.Fill = []int64{0, -1, -1}[k.rand.IntN(3)]
	k.server.Checkpoint = []int64{0, 64 << 10, 512 << 10}[k.rand.IntN(3)]
	if k.rand.IntN(5) == 0 { // killed while it starts, replays, delivers what the last life left
		p, _, err := k.server.Launch(k.t.Context())
		if err != nil {
			k.t.Fatal(err)
		}
		time.Sleep(time.Duration(k.rand.IntN(60)) * time.Millisecond)
		p.Kill()
		k.model.Report.Kills++
		return
	}
	life, upkeep := time.Duration(10+k.rand.IntN(250))*time.Millisecond, k.rand.IntN(3) == 0
	if upkeep {
		life *= 2
	}
	k.server.Speed = 1
	jumped := false
	switch k.rand.IntN(20) {
	case 0: // some minutes, in which rows are written, ledgers cleaned, and the server does its own upkeep
		k.server.Speed = 120
		life = time.Duration(500+k.rand.IntN(1500)) * time.Millisecond
	case 3, 4: // settled positions and checkpoints by time are written once a second
		life = time.Duration(900+k.rand.IntN(400)) * time.Millisecond
	case 1, 2: // condemned packs may go, and what was expunged
		k.server.Ahead += 25 * time.Hour
		jumped = true
	}
	started := time.Now()
	p := k.start()
	k.check(p, false)
	if jumped { // once in whole, so that the directory does not grow for ever
		sum, err := Upkeep(k.t.Context(), k.server.Dir)
		if err != nil {
			k.t.Errorf("upkeep: %v\nserver's log:\n%s", err, p.Log())
		}
		k.model.Upkeep(int(sum.Compacted), int(sum.Deleted))
		k.check(p, true)
	}
	k.load(p, life, upkeep)
	k.server.Ahead += time.Since(started) * time.Duration(k.server.Speed-1) // its clock never goes back
	k.model.Report.Kills++
}

// size tells what the data directory has come to.
func (k *killer) size() string {
	var bytes int64
	files := 0
	err := filepath.WalkDir(k.server.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files++
			bytes += info.Size()
		}
		return err
	})
	return fmt.Sprintf("%d files, %d KiB, %v", files, bytes>>10, err)
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
	times, err := k.sink.Times()
	if err := errors.Join(err, k.model.CheckRemote(times)); err != nil {
		k.t.Error(err)
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
func (k *killer) load(p *Process, life time.Duration, upkeep bool) {
	var wg sync.WaitGroup
	errs := make([]error, killSenders+len(killAccounts))
	senders := killSenders
	if upkeep { // it gives way to mail: where there is much, it would never come to its end
		senders /= 3
		delay := time.Duration(k.rand.Int64N(int64(life / 4)))
		wg.Go(func() { k.upkeep(p, delay) })
	}
	for i := range senders {
		r := rand.New(rand.NewPCG(k.rand.Uint64(), 0))
		dial := func() (*SMTP, error) { return DialSMTP(p.Addr["smtp"]) }
		if i%3 == 1 {
			dial = func() (*SMTP, error) { return DialLMTP(p.Addr["lmtp"]) }
		}
		wg.Go(func() { errs[i] = k.send(dial, fmt.Sprintf("kill-%d-%d", k.serial, i), r) })
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

// upkeep has everything compacted and swept, again and again until the server is gone.
func (k *killer) upkeep(p *Process, delay time.Duration) {
	select {
	case <-time.After(delay):
	case <-p.done:
	}
	for err := error(nil); err == nil; {
		var sum admin.UpkeepSummary
		sum, err = Upkeep(k.t.Context(), k.server.Dir)
		k.model.Upkeep(int(sum.Compacted), int(sum.Deleted))
	}
}

// send is one sender's session. That the server goes away is no error, that it refuses is.
func (k *killer) send(dial func() (*SMTP, error), name string, r *rand.Rand) error {
	c, err := dial()
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
