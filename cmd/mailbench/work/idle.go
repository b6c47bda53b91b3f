package work

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
)

// idleBuffer is small: the crowd's own memory must not be what ends first.
const idleBuffer = 4 << 10

// CrowdOptions describe connections that wait in IDLE.
type CrowdOptions struct {
	Target      client.Target
	Users       []User // in turn
	Mailbox     string
	Connections int
	Width       int           // logins at the same time
	Hold        time.Duration // how long all of them wait
	Notify      bool          // then append a message to each mailbox and wait until every connection was told of it
	ServerPIDs  []int
}

// Crowd is what came of it. All connections were alive at the end: each has answered DONE.
type Crowd struct {
	Connections int           `json:"connections"`
	Seconds     float64       `json:"connect_seconds"`
	Rate        float64       `json:"connects_per_second"`
	Login       load.Latency  `json:"connect_to_idle"`
	Held        float64       `json:"held_seconds"`
	Notified    *load.Latency `json:"append_to_notice,omitempty"`
	Server      *gauge.Usage  `json:"server,omitempty"`
	HoldCPU     float64       `json:"hold_cpu_seconds"`                // of the server, while nothing happened
	Memory      int64         `json:"memory_while_idle_bytes"`         // of the server
	PerConn     int64         `json:"memory_per_connection,omitempty"` // (while idle − before) ÷ connections
}

// Check tells what is wrong with the options; Idle begins with it.
func (o *CrowdOptions) Check() error {
	switch {
	case o.Connections < 1 || o.Connections > maxSessions:
		return fmt.Errorf("connections: %d is not between 1 and %d", o.Connections, maxSessions)
	case o.Width < 1:
		return errors.New("logins at the same time: at least one")
	case len(o.Users) == 0:
		return errors.New("no user to log in as")
	}
	return checkNames(o.Users, o.Mailbox)
}

// crowd is one run of Idle.
type crowd struct {
	o        CrowdOptions
	fail     context.CancelCauseFunc
	conns    []*client.IMAP
	login    load.Histogram
	notice   load.Histogram
	ready    atomic.Int64
	appended []time.Time // for each user
}

// Idle makes connections that log in, open the mailbox and wait in IDLE (RFC 2177), and measures what they cost.
func Idle(ctx context.Context, o CrowdOptions, progress func(load.Snapshot)) (Crowd, error) {
	if err := o.Check(); err != nil {
		return Crowd{}, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if o.Target.Buffer == 0 {
		o.Target.Buffer = idleBuffer
	}
	c := &crowd{o: o, fail: fail, conns: make([]*client.IMAP, o.Connections), appended: make([]time.Time, len(o.Users))}
	defer c.close()
	server, err := gauge.Watch(o.ServerPIDs)
	if err != nil {
		return Crowd{}, err
	}
	res := Crowd{Connections: o.Connections}
	stop := load.Every(func(elapsed time.Duration) load.Snapshot {
		return load.Snapshot{Elapsed: elapsed, Messages: c.ready.Load(), P50: c.login.Quantile(0.5), P99: c.login.Quantile(0.99)}
	}, progress)
	err = c.all(ctx, server, &res)
	stop()
	usage, serverErr := server.Stop()
	if err := errors.Join(err, serverErr); err != nil {
		return Crowd{}, err
	}
	if res.Server = usage; usage != nil {
		res.PerConn = (res.Memory - usage.Before) / int64(o.Connections)
	}
	return res, nil
}

func (c *crowd) all(ctx context.Context, server *gauge.Watcher, res *Crowd) error {
	start := time.Now()
	if err := each(ctx, c.fail, c.o.Width, len(c.conns), c.join); err != nil {
		return err
	}
	res.Seconds = time.Since(start).Seconds()
	res.Rate = float64(len(c.conns)) / res.Seconds
	res.Login = c.login.Latency()
	before, err := gauge.CPU(c.o.ServerPIDs)
	if err != nil {
		return err
	}
	select {
	case <-time.After(c.o.Hold):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	res.Held = c.o.Hold.Seconds()
	after, err := gauge.CPU(c.o.ServerPIDs)
	if err != nil {
		return err
	}
	res.HoldCPU = (after - before).Seconds()
	if res.Memory, err = gauge.Memory(c.o.ServerPIDs); err != nil {
		return err
	}
	if c.o.Notify {
		if err := c.notify(ctx); err != nil {
			return err
		}
		l := c.notice.Latency()
		res.Notified = &l
	}
	// That each still answers is the proof that it was there all the time.
	return each(ctx, c.fail, c.o.Width, len(c.conns), func(_ context.Context, i int) error {
		return errors.Join(c.conns[i].Done(nil), c.conns[i].Logout())
	})
}

// join brings one connection into IDLE.
func (c *crowd) join(ctx context.Context, i int) error {
	begin := time.Now()
	m, err := dialIMAP(ctx, c.o.Target, c.o.Users[i%len(c.o.Users)])
	if err != nil {
		return err
	}
	c.conns[i] = m
	if _, err := m.Select(c.o.Mailbox, true); err != nil {
		return err
	}
	if err := m.Send("IDLE"); err != nil {
		return err
	}
	if err := m.Continue("IDLE"); err != nil {
		return err
	}
	c.login.Add(time.Since(begin))
	c.ready.Add(1)
	return m.Extend(c.o.Hold)
}

// notify appends one message for each user, and waits until each connection was told by an EXISTS.
func (c *crowd) notify(ctx context.Context) error {
	told := make([]time.Time, len(c.conns))
	heard := make(chan error, 1)
	go func() { heard <- c.listen(ctx, told) }()
	err := errors.Join(c.append(ctx), <-heard)
	for i, at := range told {
		c.notice.Add(at.Sub(c.appended[i%len(c.o.Users)]))
	}
	return err
}

func (c *crowd) append(ctx context.Context) error {
	corpus := NewCorpus(1, load.MinSize)
	for u := range c.o.Users[:min(len(c.o.Users), len(c.conns))] {
		m, err := dialIMAP(ctx, c.o.Target, c.o.Users[u])
		if err == nil {
			c.appended[u] = time.Now()
			err = errors.Join(m.Append(c.o.Mailbox, corpus.Message(int64(u))), m.Logout())
		}
		if err != nil {
			c.fail(err)
			return err
		}
	}
	return nil
}

// listen notes when each connection is told by an EXISTS.
func (c *crowd) listen(ctx context.Context, told []time.Time) error {
	return each(ctx, c.fail, len(c.conns), len(c.conns), func(_ context.Context, i int) error {
		for {
			a, err := c.conns[i].Await()
			if err != nil {
				return fmt.Errorf("waiting for news: %w", err)
			}
			if _, word, _, ok := a.Numbered(); ok && client.Is(word, "EXISTS") {
				told[i] = time.Now()
				return nil
			}
		}
	})
}

func (c *crowd) close() {
	for _, m := range c.conns {
		if m != nil {
			m.Close()
		}
	}
}
