package compare

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/peer"
	"github.com/postrider/postrider/cmd/mailbench/work"
)

// The kinds of trials: what is compared beside delivery and reading.
const (
	kindRelay    = "relay"
	kindSource   = "smtp-source"   // the same between Postfix's own programs
	kindKept     = "smtp-source-d" // which keep their connections
	kindIdleIMAP = "idle-imap"
	kindIdleSMTP = "idle-smtp"
	kindBig      = "big"
)

func kinds() []string {
	return []string{kindSource, kindKept, kindRelay, kindIdleIMAP, kindIdleSMTP, kindBig}
}

const (
	relaySessions = 20
	warmSessions  = 10
	crowdWidth    = 16
	bigSessions   = 4
	bigSample     = 20 * time.Millisecond
	minHold       = time.Second
	settleStep    = time.Second
	settleLogins  = 3 * time.Second

	settleSessions = 4
	settleAtMost   = 20 * time.Second
)

// Trial is one run of one kind of one system.
type Trial struct {
	System    string        `json:"system"`
	Kind      string        `json:"kind"`
	Pair      int           `json:"pair"`
	Relay     *work.Relayed `json:"relay,omitempty"`
	Source    *Source       `json:"source,omitempty"`
	Crowd     *work.Crowd   `json:"crowd,omitempty"`
	Big       *Big          `json:"big,omitempty"`
	CPU       float64       `json:"cpu_ms"` // of the system, for each message or connection
	Before    gauge.Probe   `json:"disk_before"`
	After     gauge.Probe   `json:"disk_after"`
	Discarded string        `json:"discarded,omitempty"`
	Error     string        `json:"error,omitempty"`
}

// Big is a load of large messages.
type Big struct {
	Run
	InFlight int64 `json:"memory_in_flight_bytes"` // anonymous memory at its highest, less what there was before, for each session
}

// members are the systems that take part in a kind.
func (o *Options) members(kind string) []peer.System {
	switch kind {
	case kindRelay, kindSource, kindKept, kindIdleSMTP:
		return o.Mailers
	}
	return o.Readers
}

// wanted tells whether a kind is asked for.
func (o *Options) wanted(kind string) bool {
	if len(o.Only) > 0 && !slices.Contains(o.Only, kind) {
		return false
	}
	switch kind {
	case kindIdleIMAP, kindIdleSMTP:
		return o.Crowd > 0
	case kindBig:
		return o.BigSize > 0
	}
	return o.Relay
}

// try lets all systems have their turns at all kinds.
func (o *Options) try(ctx context.Context, out *Outcome) {
	for _, kind := range kinds() {
		for pair := 1; pair <= o.rounds() && o.wanted(kind); pair++ {
			for _, s := range o.members(kind) {
				if !o.tryTurn(ctx, out, s, kind, pair) {
					return
				}
			}
		}
	}
}

// tryTurn does one trial, again if the disk changed meanwhile. It tells whether the comparison goes on.
func (o *Options) tryTurn(ctx context.Context, out *Outcome, s peer.System, kind string, pair int) bool {
	for n := out.tried(s.Name(), kind, pair); n <= o.Retries; n++ {
		t := Trial{System: s.Name(), Kind: kind, Pair: pair}
		if err := o.trial(ctx, s, &t); err != nil {
			t.Error = err.Error()
		}
		out.Configs[s.Name()] = s.Config()
		if ctx.Err() != nil {
			out.Cut = fmt.Sprintf("ended early (%v), in %s of %s", context.Cause(ctx), kind, s.Name())
			return false
		}
		t.Discarded = noise(t.Error, t.Before, t.After)
		out.Trials = append(out.Trials, t)
		o.Say(t.line())
		o.save(out)
		if t.Discarded == "" {
			break
		}
	}
	return true
}

// noise says why a run is discarded; "" if it is not.
func noise(failed string, before, after gauge.Probe) string {
	if ratio := before.Ratio(after); failed == "" && ratio > maxRatio {
		return fmt.Sprintf("disk probe %.2f ms before, %.2f ms after: %.1f ×", before.P50, after.P50, ratio)
	}
	return ""
}

func (t *Trial) line() string {
	s := fmt.Sprintf("%-43s %s", t.System, t.Kind)
	if t.Error == "" {
		for _, c := range columns(t.Kind) {
			s += "  " + c.name + " " + number(c.format, c.of(t))
		}
	}
	switch {
	case t.Error != "":
		s += "  failed: " + t.Error
	case t.Discarded != "":
		s += "  discarded: " + t.Discarded
	}
	return s
}

// trial starts the system, warms it by some mail for every user, does what the kind is about between two disk probes,
// and stops it.
func (o *Options) trial(ctx context.Context, s peer.System, t *Trial) (err error) {
	if err := s.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	boxes, err := openMailboxes(ctx, s.IMAP(), o.Users) // also: every password was checked once, which is dear
	if err != nil {
		return err
	}
	defer boxes.close()
	warm := o.config(s, warmSessions)
	warm.Duration = min(warmUp, o.Duration)
	if _, err := o.sendAndWait(ctx, boxes, warm); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	if err := o.settle(ctx, s); err != nil {
		return err
	}
	if t.Before, err = gauge.ProbeDisk(o.Dir, o.Size, probes); err != nil {
		return err
	}
	switch t.Kind {
	case kindSource, kindKept:
		err = o.source(ctx, s, t)
	case kindRelay:
		err = o.relay(ctx, s, t)
	case kindBig:
		err = o.big(ctx, s, t, boxes)
	default:
		err = o.crowd(ctx, s, t)
	}
	if err != nil {
		return err
	}
	t.After, err = gauge.ProbeDisk(o.Dir, o.Size, probes)
	return err
}

// settle lets a user log in and out for a while, and then waits until the system has given back memory that it does not need.
// A runtime with garbage collection gives back what checking passwords took only when something else needs memory: without
// this it would hide what connections and messages take, or count as theirs.
func (o *Options) settle(ctx context.Context, s peer.System) error {
	target, user := who(s.IMAP(), 1)
	if _, err := work.Run(ctx, work.Options{Protocol: "imap", Workload: "login", Target: target, Users: []work.User{user}, Sessions: settleSessions,
		Duration: settleLogins}, nil); err != nil {
		return fmt.Errorf("letting memory settle: %w", err)
	}
	roots := s.Roots()
	last := int64(1) << 62
	for begin, steady := time.Now(), 0; steady < 3 && time.Since(begin) < settleAtMost; {
		m, err := gauge.Memory(roots)
		if err != nil {
			return err
		}
		if steady++; m < last-last/200 {
			steady = 0
		}
		last = m
		select {
		case <-time.After(settleStep):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// relay sends through the system into our sink.
func (o *Options) relay(ctx context.Context, s peer.System, t *Trial) error {
	way := s.Relay()
	rcpts, err := load.ExpandRecipients([]string{"user%d@" + peer.RelayDomain}, o.Users)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", way.Sink)
	if err != nil {
		return err
	}
	cfg := o.config(s, relaySessions)
	cfg.Addr, cfg.Recipients, cfg.ServerPIDs = way.Addr, rcpts, s.Roots()
	label := s.Name() + ", relay: "
	before, err := gauge.CPU(s.Roots())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	res, err := work.Relay(ctx, work.RelayOptions{Load: cfg, Sink: l, Stall: o.Stall, Linger: time.Second}, func(p load.Snapshot) { o.Show(label, p) })
	if err != nil {
		return err
	}
	after, err := gauge.CPU(s.Roots())
	t.Relay, t.CPU = &res, ms(after-before)/float64(max(res.Arrived, 1))
	return err
}

// crowd lets connections wait, each from an address of its own.
func (o *Options) crowd(ctx context.Context, s peer.System, t *Trial) error {
	w := work.CrowdOptions{Connections: o.Crowd, Sources: o.Crowd, Width: crowdWidth, Hold: max(o.Duration, minHold), ServerPIDs: s.Roots(),
		Settle: func(ctx context.Context) error { return o.settle(ctx, s) }}
	if t.Kind == kindIdleSMTP {
		w.Protocol, w.Target = "smtp", client.Target{Addr: s.SMTP()}
	} else {
		a := s.IMAP()
		w.Protocol, w.Mailbox, w.Target = "imap", "INBOX", client.Target{Addr: a.Addr, TLS: a.TLS, Implicit: a.TLS != nil}
		for u := 1; u <= o.Users; u++ {
			w.Users = append(w.Users, work.User{Name: peer.Address(u), Password: a.Password(u)})
		}
	}
	label := fmt.Sprintf("%s, %s: ", s.Name(), t.Kind)
	res, err := work.Idle(ctx, w, func(p load.Snapshot) { o.Show(label, p) })
	if err != nil {
		return err
	}
	t.Crowd, t.CPU = &res, res.ConnectCPU*1000/float64(res.Connections)
	return nil
}

// big sends large messages over a few sessions.
func (o *Options) big(ctx context.Context, s peer.System, t *Trial, boxes *mailboxes) error {
	b := &Big{Run: Run{System: s.Name(), Sessions: bigSessions, Pair: t.Pair}}
	before, err := gauge.Footprints(s.Roots())
	if err != nil {
		return err
	}
	var peak int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		gauge.Sample(bigSample, done, func() {
			if f, err := gauge.Footprints(s.Roots()); err == nil {
				peak = max(peak, f.Anon)
			}
		})
	}()
	cfg := o.config(s, bigSessions)
	cfg.Sizes, cfg.Duration, cfg.Messages = []int{o.BigSize}, 0, int64(o.BigCount)
	err = o.loaded(ctx, s, &b.Run, boxes, cfg)
	close(done)
	<-ended
	if err != nil {
		return err
	}
	b.InFlight = max(peak-before.Anon, 0) / bigSessions
	b.Lost, b.Extra, err = boxes.settle()
	if b.Lost+b.Extra > 0 {
		err = errors.Join(err, fmt.Errorf("%d messages promised and not found, %d found too often", b.Lost, b.Extra))
	}
	t.Big, t.CPU = b, b.CPU
	return err
}
