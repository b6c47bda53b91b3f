package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/peer"
)

// All does the whole comparison. When ctx ends it stops what runs and returns what there is.
func All(ctx context.Context, o Options) (*Outcome, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	out := &Outcome{
		Date: time.Now(), Duration: o.Duration.Seconds(), Pairs: o.Pairs, Users: o.Users, Size: o.Size, Command: o.Command,
		Sessions: o.Sessions, Versions: map[string]string{}, Configs: map[string]string{},
		Mailbox: o.Mailbox, Crowd: o.Crowd, BigSize: o.BigSize,
	}
	o.filled = map[string]bool{}
	var err error
	if out.Machine, err = gauge.Describe(o.Dir); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Dir, err)
	}
	for _, s := range o.Systems {
		out.Systems = append(out.Systems, s.Name())
		out.Versions[s.Name()] = s.Version()
	}
	if n := out.resume(o.Before); n > 0 {
		o.Say(fmt.Sprintf("going on after %d finished runs", n))
	}
	parts := []func(context.Context, *Outcome){o.deliver, o.read, o.try, o.traceAll}
	if len(o.Only) > 0 {
		parts, out.Sessions = parts[2:3], nil
	}
	for _, part := range parts {
		if part(ctx, out); out.Cut != "" {
			break
		}
	}
	out.Complete = out.Cut == ""
	o.save(out)
	return out, nil
}

func (o *Options) check() error {
	switch {
	case len(o.Systems) == 0 || o.Pairs < 1 || o.Users < 1 || len(o.Sessions) == 0 || o.Duration <= 0:
		return errors.New("nothing to compare")
	case len(o.unknown()) > 0:
		return fmt.Errorf("only %q: there are %s", o.unknown(), strings.Join(kinds(), ", "))
	case slices.Min(o.Sessions) < 1:
		return fmt.Errorf("sessions: %d is not at least 1", slices.Min(o.Sessions))
	case o.Size < load.MinSize || o.Size > load.MaxSize:
		return fmt.Errorf("size: %d is not between %d and %d bytes", o.Size, load.MinSize, load.MaxSize)
	case o.Mailbox > 0 && o.ReadTime <= 0:
		return errors.New("no time to read")
	case o.BigSize > 0 && (o.BigSize < load.MinSize || o.BigSize > load.MaxSize || o.BigCount < 1):
		return fmt.Errorf("%d large messages of %d bytes: at least one, of %d to %d bytes", o.BigCount, o.BigSize, load.MinSize, load.MaxSize)
	}
	return nil
}

// unknown are the kinds of Only that do not exist.
func (o *Options) unknown() (list []string) {
	for _, k := range o.Only {
		if !slices.Contains(kinds(), k) {
			list = append(list, k)
		}
	}
	return list
}

// deliver lets all systems have their turns at SMTP to mailbox.
func (o *Options) deliver(ctx context.Context, out *Outcome) {
	for _, sessions := range o.Sessions {
		for pair := 1; pair <= o.Pairs; pair++ {
			for _, s := range o.Systems {
				if o.turn(ctx, out, s, sessions, pair); out.Cut != "" {
					return
				}
			}
		}
	}
}

// turn does one run, again if the disk changed meanwhile.
func (o *Options) turn(ctx context.Context, out *Outcome, s peer.System, sessions, pair int) {
	for n := out.ran(s.Name(), sessions, pair); n <= o.Retries; n++ {
		r := o.run(ctx, s, sessions, pair)
		out.Configs[s.Name()] = s.Config()
		if ctx.Err() != nil {
			out.Cut = fmt.Sprintf("ended early (%v), in a run of %s", context.Cause(ctx), s.Name())
			return
		}
		out.Runs = append(out.Runs, r)
		o.Say(r.line())
		o.save(out)
		if r.Discarded == "" {
			return
		}
	}
}

func (r *Run) line() string {
	s := fmt.Sprintf("%-43s %3d sessions  %7.1f/s in mailboxes  %7.1f/s accepted  p50 %6.2f p99 %7.2f ms  %5.2f ms CPU  %4d MiB",
		r.System, r.Sessions, r.Rate, r.Load.Rate, r.Load.Data.P50, r.Load.Data.P99, r.CPU, r.Memory>>20)
	if r.Lost+r.Extra > 0 {
		s += fmt.Sprintf("  LOST %d EXTRA %d", r.Lost, r.Extra)
	}
	switch {
	case r.Error != "":
		s += "  failed: " + r.Error
	case r.Discarded != "":
		s += "  discarded: " + r.Discarded
	}
	return s
}

// traceAll counts the syncs of a few messages under strace, for each system and number of sessions.
func (o *Options) traceAll(ctx context.Context, out *Outcome) {
	for _, s := range o.Systems {
		for _, sessions := range o.Sessions {
			if o.Traced == 0 || out.traced(s.Name(), sessions) {
				continue
			}
			t := Trace{System: s.Name(), Sessions: sessions}
			if err := o.traceOne(ctx, s, &t); err != nil {
				t.Error = err.Error()
			}
			out.Configs[s.Name()] = s.Config()
			if ctx.Err() != nil {
				out.Cut = fmt.Sprintf("ended early (%v), while syncs of %s were counted", context.Cause(ctx), s.Name())
				return
			}
			o.Say(fmt.Sprintf("%-43s %3d sessions  %.2f syncs a message %v %s", t.System, sessions, t.PerMessage(), t.Calls, t.Error))
			out.Traces = append(out.Traces, t)
			o.save(out)
		}
	}
}

func (o *Options) traceOne(ctx context.Context, s peer.System, t *Trace) (err error) {
	if err := s.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	boxes, err := openMailboxes(ctx, s.IMAP(), o.Users)
	if err != nil {
		return err
	}
	defer boxes.close()
	cfg := o.config(s, t.Sessions)
	cfg.Duration, cfg.Messages = 0, int64(max(o.Traced/10, t.Sessions)) // warm: all processes are there, files are open
	if _, err := o.sendAndWait(ctx, boxes, cfg); err != nil {
		return err
	}
	syncs, err := gauge.CountSyncs(ctx, o.Dir, s.Roots())
	if err != nil {
		return err
	}
	cfg.Messages = int64(max(o.Traced, 2*t.Sessions))
	res, err := o.sendAndWait(ctx, boxes, cfg)
	select { // what follows a delivery a little later belongs to it
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	calls, stopErr := syncs.Stop()
	t.Calls, t.Messages = calls, res.Messages
	return errors.Join(err, stopErr)
}

func (o *Options) sendAndWait(ctx context.Context, boxes *mailboxes, cfg load.Config) (load.Result, error) {
	res, err := load.Run(ctx, cfg, nil)
	if err == nil {
		_, err = boxes.await(ctx, res.Accepted, o.Stall)
	}
	return res, err
}
