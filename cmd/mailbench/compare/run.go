package compare

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/peer"
)

func (o *Options) config(s peer.System, sessions int) load.Config {
	rcpts, _ := load.ExpandRecipients([]string{peer.Users()}, o.Users) // Users was checked
	return load.Config{
		Addr: s.SMTP(), Sessions: sessions, Duration: o.Duration, Sizes: []int{o.Size}, From: "bench@mailbench.invalid",
		Recipients: rcpts, ReplyTimeout: replyTimeout,
	}
}

// run starts a system, warms it, loads it, waits until all is delivered, and stops it.
func (o *Options) run(ctx context.Context, s peer.System, sessions, pair int) (r Run) {
	r = Run{System: s.Name(), Sessions: sessions, Pair: pair}
	err := s.Start(ctx)
	if err == nil {
		err = errors.Join(o.measure(ctx, s, &r), s.Stop())
	}
	if err != nil {
		r.Error = err.Error()
	}
	r.Discarded = noise(r.Error, r.Before, r.After)
	return r
}

func (o *Options) measure(ctx context.Context, s peer.System, r *Run) error {
	var err error
	if r.Idle, err = gauge.Memory(s.Roots()); err != nil {
		return err
	}
	boxes, err := openMailboxes(ctx, s.IMAP(), o.Users)
	if err != nil {
		return err
	}
	defer boxes.close()
	cfg := o.config(s, r.Sessions)
	warm := cfg
	warm.Duration = min(warmUp, cfg.Duration)
	if _, err := o.sendAndWait(ctx, boxes, warm); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	if r.Before, err = gauge.ProbeDisk(o.Dir, o.Size, probes); err != nil {
		return err
	}
	if err := o.loaded(ctx, s, r, boxes, cfg); err != nil {
		return err
	}
	if r.After, err = gauge.ProbeDisk(o.Dir, o.Size, probes); err != nil {
		return err
	}
	r.Lost, r.Extra, err = boxes.settle()
	return err
}

// loaded is the part that the figures are of.
func (o *Options) loaded(ctx context.Context, s peer.System, r *Run, boxes *mailboxes, cfg load.Config) error {
	stopMemory := watchMemory(s.Roots())
	before, err := usage(s.Roots())
	if err != nil {
		return err
	}
	label := fmt.Sprintf("%s, %d sessions: ", s.Name(), r.Sessions)
	r.Load, err = load.Run(ctx, cfg, func(p load.Snapshot) { o.Show(label, p) })
	if err != nil {
		return err
	}
	last, err := boxes.await(ctx, r.Load.Accepted, o.Stall)
	r.Memory = stopMemory()
	if err != nil {
		return err
	}
	after, err := usage(s.Roots())
	if err != nil {
		return err
	}
	took := last.Sub(r.Load.Start)
	n := float64(max(r.Load.Recipients, 1))
	r.Seconds = took.Seconds()
	r.Rate = float64(r.Load.Recipients) / took.Seconds()
	r.CPU = ms(after.system-before.system) / n
	r.Generator = ms(after.own-before.own) / n
	others := (after.machine - before.machine) - (after.system - before.system) - (after.own - before.own)
	r.Others = max(0, others.Seconds()/after.at.Sub(before.at).Seconds()/float64(runtime.NumCPU()))
	if r.Load.Messages == 0 {
		return fmt.Errorf("no message was accepted: %v", r.Load.Errors)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// used is CPU time until a moment.
type used struct {
	at                   time.Time
	system, own, machine time.Duration
}

func usage(roots []int) (u used, err error) {
	u.at = time.Now()
	if u.system, err = gauge.CPU(roots); err != nil {
		return u, err
	}
	var self unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &self); err != nil {
		return u, err
	}
	u.own = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	u.machine, err = gauge.Busy()
	return u, err
}

// watchMemory samples once a second, and returns how to end it and get the highest sample.
func watchMemory(roots []int) (stop func() int64) {
	var (
		peak int64
		done = make(chan struct{})
		wg   sync.WaitGroup
	)
	look := func() {
		if m, err := gauge.Memory(roots); err == nil {
			peak = max(peak, m)
		}
	}
	look()
	wg.Go(func() { gauge.Sample(time.Second, done, look) })
	return func() int64 {
		close(done)
		wg.Wait()
		return peak
	}
}
