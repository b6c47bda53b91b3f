package work

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/sink"
)

// RelayOptions describe a way through a system that must send its mail on to our sink.
type RelayOptions struct {
	Load   load.Config // the source; ID and Sent are set by Relay
	Sink   net.Listener
	Delay  time.Duration // of each reply of the sink to a message
	Stall  time.Duration // how long nothing may arrive until what is missing counts as missing
	Linger time.Duration // how long to wait for second copies
}

// Relayed is what came of it, in deliveries: one message to one recipient.
type Relayed struct {
	Source     load.Result  `json:"source"`
	Promised   int64        `json:"promised"` // answered 250
	Arrived    int64        `json:"arrived"`  // of those
	Missing    int64        `json:"missing"`
	Duplicated int64        `json:"duplicated"`
	Damaged    int64        `json:"damaged"`    // messages whose body is not what was sent
	Unpromised int64        `json:"unpromised"` // arrived although no 250 had come: the reply was lost
	Strangers  int64        `json:"strangers"`  // messages of anyone else: bounces
	Seconds    float64      `json:"seconds"`    // until the last arrival
	Rate       float64      `json:"deliveries_per_second"`
	Through    load.Latency `json:"source_to_sink"` // from the first byte sent to the end of the message at the sink
}

// waitStep is how often the ledger is looked at when all has been sent.
const waitStep = 10 * time.Millisecond

// Relay sends through a system and counts at the other end. A delivery that is missing, damaged or came twice is an
// error; the figures are returned with it.
func Relay(ctx context.Context, o RelayOptions, progress func(load.Snapshot)) (Relayed, error) {
	if o.Load.LMTP {
		return Relayed{}, errors.New("LMTP delivers, it does not relay (RFC 2033 §5)")
	}
	o.Load.ID = rand.Uint32N(1<<32-1) + 1
	l := newLedger(o.Load.ID, o.Load.Recipients)
	o.Load.Sent = l.sent
	s := sink.Serve(o.Sink, o.Delay, l.arrived)
	stop := load.Every(func(elapsed time.Duration) load.Snapshot {
		promised, matched := l.progress()
		return load.Snapshot{Elapsed: elapsed, Messages: matched, Behind: promised - matched, P50: l.through.Quantile(0.5), P99: l.through.Quantile(0.99)}
	}, progress)
	res, err := load.Run(ctx, o.Load, nil)
	if err == nil {
		err = l.await(ctx, o.Stall, o.Linger)
	}
	stop()
	if err = errors.Join(err, s.Close()); err != nil {
		return Relayed{}, err
	}
	b := l.balance()
	r := Relayed{
		Source: res, Promised: b.promised, Arrived: b.matched, Missing: b.missing, Duplicated: b.duplicated, Damaged: b.damaged,
		Unpromised: b.unpromised, Strangers: b.strangers, Through: l.through.Latency(),
	}
	if took := b.last.Sub(res.Start); took > 0 {
		r.Seconds = took.Seconds()
		r.Rate = float64(b.matched) / r.Seconds
	}
	return r, r.verdict()
}

func (r *Relayed) verdict() error {
	switch {
	case r.Promised == 0:
		return fmt.Errorf("no message was accepted: %v", r.Source.Errors)
	case r.Missing+r.Duplicated+r.Damaged > 0:
		return fmt.Errorf("%d deliveries are missing, %d came again, %d messages were damaged", r.Missing, r.Duplicated, r.Damaged)
	}
	return nil
}

// await waits until all that was promised has arrived, or nothing has for the time stall; then for second copies.
func (l *ledger) await(ctx context.Context, stall, linger time.Duration) error {
	t := time.NewTicker(waitStep)
	defer t.Stop()
	have, grew := int64(-1), time.Now()
	for complete := false; !complete || time.Since(grew) < linger; {
		promised, matched := l.progress()
		if matched > have {
			have, grew = matched, time.Now()
		}
		complete = matched == promised
		if !complete && time.Since(grew) > stall {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
	return nil
}
