package compare

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/peer"
)

// Bounds of a run between Postfix's own test programs.
const (
	sourcePilot = 500     // messages that warm a system up and tell how many a run needs
	sourceLeast = 1_000   // messages of a run
	sourceMost  = 200_000 //
	sourceStep  = 5 * time.Millisecond
)

// Source is a run between Postfix's smtp-source and smtp-sink.
type Source struct {
	Messages int64   `json:"messages"`
	Accepted float64 `json:"accepted_per_second"`
	Seconds  float64 `json:"seconds"` // until the last message was at the sink
	Rate     float64 `json:"relayed_per_second"`
	Memory   int64   `json:"peak_memory_bytes"`
	Syncs    float64 `json:"syncs_per_message"` // counted over other messages, under strace; 0: not counted
}

// source sends by smtp-source through the system into smtp-sink. The programs count only; that every message arrives once
// and whole is what the trials of relaying check.
func (o *Options) source(ctx context.Context, s peer.System, t *Trial) (err error) {
	way := s.Relay()
	sink, err := startSink(way.Sink)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.stop()) }()
	keep := t.Kind == kindKept
	pilot, err := o.through(ctx, passage{way.Addr, sink, keep}, sourcePilot)
	if err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	n := min(max(int64(pilot.Rate*o.Duration.Seconds()), sourceLeast), sourceMost)
	stopMemory := watchMemory(s.Roots())
	before, err := gauge.CPU(s.Roots())
	if err != nil {
		return err
	}
	res, err := o.through(ctx, passage{way.Addr, sink, keep}, n)
	res.Memory = stopMemory()
	if err != nil {
		return err
	}
	after, err := gauge.CPU(s.Roots())
	if err != nil {
		return err
	}
	t.Source, t.CPU = &res, ms(after-before)/float64(n)
	if o.Traced == 0 {
		return nil
	}
	res.Syncs, err = o.sourceSyncs(ctx, s, passage{way.Addr, sink, keep})
	return err
}

// sourceSyncs counts the syncs of a few messages more.
func (o *Options) sourceSyncs(ctx context.Context, s peer.System, w passage) (float64, error) {
	syncs, err := gauge.CountSyncs(ctx, o.Dir, s.Roots())
	if err != nil {
		return 0, err
	}
	n := int64(max(o.Traced, 2*relaySessions))
	_, err = o.through(ctx, w, n)
	select { // what follows a delivery a little later belongs to it
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	calls, stopErr := syncs.Stop()
	return (&Trace{Messages: n, Calls: calls}).PerMessage(), errors.Join(err, stopErr)
}

// passage is a way through a system.
type passage struct {
	addr string
	sink *smtpSink
	keep bool // smtp-source keeps its connections (-d); else each message has one of its own
}

// through sends n messages and returns when all are at the sink.
func (o *Options) through(ctx context.Context, w passage, n int64) (r Source, err error) {
	sink, have := w.sink, w.sink.messages.Load()
	begin := time.Now()
	c := exec.CommandContext(ctx, "smtp-source", "-s", strconv.Itoa(relaySessions), "-m", strconv.FormatInt(n, 10), "-l", strconv.Itoa(o.Size),
		"-N", "-f", "bench@mailbench.invalid", "-t", "user@"+peer.RelayDomain)
	if w.keep {
		c.Args = append(c.Args, "-d")
	}
	c.Args = append(c.Args, w.addr)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if out, err := c.CombinedOutput(); err != nil {
		return r, fmt.Errorf("smtp-source: %w: %s", err, bytes.TrimSpace(out))
	}
	r.Messages, r.Accepted = n, float64(n)/time.Since(begin).Seconds()
	grew, last := time.Now(), have
	for sink.messages.Load() < have+n {
		if now := sink.messages.Load(); now > last {
			grew, last = time.Now(), now
		}
		if time.Since(grew) > o.Stall {
			return r, fmt.Errorf("%d of %d messages never came to the sink", have+n-last, n)
		}
		select {
		case <-ctx.Done():
			return r, context.Cause(ctx)
		case <-sink.ended:
			return r, fmt.Errorf("smtp-sink ended: %s", sink.said.String())
		case <-time.After(sourceStep):
		}
	}
	r.Seconds = time.Since(begin).Seconds()
	r.Rate = float64(n) / r.Seconds
	return r, nil
}

// smtpSink is Postfix's smtp-sink at work.
type smtpSink struct {
	cmd      *exec.Cmd
	messages atomic.Int64
	said     bytes.Buffer // read when ended is closed
	ended    chan struct{}
}

// sinkBacklog is what may wait to be accepted; smtp-sink itself takes 256 at once.
const sinkBacklog = "1000"

func startSink(addr string) (*smtpSink, error) {
	k := &smtpSink{ended: make(chan struct{})}
	// It drops its privileges only if told; without -u it refuses to run as root.
	k.cmd = exec.Command("smtp-sink", "-u", "nobody", "-c", "-m", "1000", addr, sinkBacklog)
	k.cmd.Stderr = &k.said
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		k.count(out)
		k.cmd.Wait() // how it ended is said by its words
		close(k.ended)
	}()
	for begin := time.Now(); time.Since(begin) < replyTimeout; time.Sleep(sourceStep) {
		if c, err := net.Dial("tcp", addr); err == nil {
			return k, c.Close()
		}
		select {
		case <-k.ended:
			return nil, fmt.Errorf("smtp-sink: %s", bytes.TrimSpace(k.said.Bytes()))
		default:
		}
	}
	return nil, errors.Join(fmt.Errorf("smtp-sink does not listen on %s", addr), k.stop())
}

// count reads the counters: "sess=1 quit=1 mesg=1", each time with a carriage return.
func (k *smtpSink) count(r io.Reader) {
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadString('\r')
		if _, n, ok := strings.Cut(line, "mesg="); ok {
			if v, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64); err == nil {
				k.messages.Store(v)
			}
		}
		if err != nil {
			return
		}
	}
}

func (k *smtpSink) stop() error {
	k.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-k.ended:
		return nil
	case <-time.After(replyTimeout):
		return errors.Join(errors.New("smtp-sink did not end when asked, and was killed"), k.cmd.Process.Kill())
	}
}
