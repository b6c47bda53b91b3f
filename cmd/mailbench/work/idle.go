package work

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/source"
)

// idleBuffer is small: the crowd's own memory must not be what ends first.
const idleBuffer = 4 << 10

// CrowdOptions describe connections that wait.
type CrowdOptions struct {
	Protocol    string // imap (in IDLE), pop3 or smtp (after EHLO, and AUTH if there are users)
	Target      client.Target
	Users       []User // in turn; POP3 and SMTP connections without any wait before the login
	Mailbox     string // of IMAP
	Connections int
	Sources     int           // addresses of loopback to come from, in turn; 0: the system's choice
	Width       int           // logins at the same time
	Hold        time.Duration // how long all of them wait
	Notify      bool          // IMAP: then append a message to each mailbox and wait until every connection was told of it
	ServerPIDs  []int

	Settle func(context.Context) error // if not nil, is called when all have waited, before the server's memory is read
}

// Crowd is what came of it. All connections were alive at the end: each has answered.
type Crowd struct {
	Protocol    string        `json:"protocol"`
	Connections int           `json:"connections"`
	Seconds     float64       `json:"connect_seconds"`
	Rate        float64       `json:"connects_per_second"`
	Login       load.Latency  `json:"connect_to_idle"`
	Held        float64       `json:"held_seconds"`
	Notified    *load.Latency `json:"append_to_notice,omitempty"`
	Server      *gauge.Usage  `json:"server,omitempty"`
	ConnectCPU  float64       `json:"connect_cpu_seconds"`               // of the server, until all waited
	HoldCPU     float64       `json:"hold_cpu_seconds"`                  // of the server, while nothing happened
	Memory      int64         `json:"memory_while_idle_bytes"`           // of the server: proportional set size
	PerConn     int64         `json:"memory_per_connection,omitempty"`   // (while idle − before) ÷ connections
	Resident    int64         `json:"resident_while_idle_bytes"`         // of the server: resident set size
	PerConnRSS  int64         `json:"resident_per_connection,omitempty"` // the same of it
}

// Check tells what is wrong with the options; Idle begins with it.
func (o *CrowdOptions) Check() error {
	switch {
	case !slices.Contains([]string{"imap", "pop3", "smtp"}, o.Protocol):
		return fmt.Errorf("no crowd speaks %q; there are imap, pop3 and smtp", o.Protocol)
	case o.Connections < 1 || o.Connections > maxSessions:
		return fmt.Errorf("connections: %d is not between 1 and %d", o.Connections, maxSessions)
	case o.Width < 1:
		return errors.New("logins at the same time: at least one")
	case o.Sources < 0 || o.Sources > source.Most:
		return fmt.Errorf("sources: %d is not between 0 and %d", o.Sources, source.Most)
	case o.Protocol == "imap" && len(o.Users) == 0:
		return errors.New("no user to log in as: --user")
	case o.Protocol == "pop3" && len(o.Users) > 0 && len(o.Users) < o.Connections:
		return fmt.Errorf("%d connections, %d users: POP3 locks a mailbox (RFC 1939 §3), so each connection needs its own user", o.Connections, len(o.Users))
	case o.Notify && o.Protocol != "imap":
		return errors.New("only IMAP tells of new mail")
	}
	return errors.Join(checkNames(o.Users, o.Mailbox), enoughFiles(o.Connections))
}

// enoughFiles makes sure that this process may open so many connections.
func enoughFiles(connections int) error {
	const others = 64
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(connections+others) > limit.Cur {
		return fmt.Errorf("%d connections need more open files than the limit of %d: raise it (ulimit -n %d), or use several mailbenches",
			connections, limit.Cur, connections+others)
	}
	return nil
}

// crowd is one run of Idle.
type crowd struct {
	o        CrowdOptions
	fail     context.CancelCauseFunc
	guests   []guest
	login    load.Histogram
	notice   load.Histogram
	ready    atomic.Int64
	appended []time.Time // for each user
}

// Idle makes connections that wait, and measures what they cost.
func Idle(ctx context.Context, o CrowdOptions, progress func(load.Snapshot)) (Crowd, error) {
	if err := o.Check(); err != nil {
		return Crowd{}, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if o.Target.Buffer == 0 {
		o.Target.Buffer = idleBuffer
	}
	c := &crowd{o: o, fail: fail, guests: make([]guest, o.Connections), appended: make([]time.Time, len(o.Users))}
	defer c.close()
	before, err := gauge.Footprints(o.ServerPIDs)
	if err != nil {
		return Crowd{}, err
	}
	server, err := gauge.Watch(o.ServerPIDs)
	if err != nil {
		return Crowd{}, err
	}
	res := Crowd{Protocol: o.Protocol, Connections: o.Connections}
	stop := load.Every(func(elapsed time.Duration) load.Snapshot {
		return load.Snapshot{Elapsed: elapsed, Messages: c.ready.Load(), Of: int64(o.Connections), Memory: server.Memory(),
			P50: c.login.Quantile(0.5), P99: c.login.Quantile(0.99)}
	}, progress)
	err = c.all(ctx, &res)
	stop()
	usage, serverErr := server.Stop()
	if err := errors.Join(err, serverErr); err != nil {
		return Crowd{}, err
	}
	if res.Server = usage; usage != nil {
		res.PerConn = (res.Memory - before.PSS) / int64(o.Connections)
		res.PerConnRSS = (res.Resident - before.RSS) / int64(o.Connections)
	}
	return res, nil
}

func (c *crowd) all(ctx context.Context, res *Crowd) error {
	idle, err := gauge.CPU(c.o.ServerPIDs)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := each(ctx, c.fail, c.o.Width, len(c.guests), c.join); err != nil {
		return err
	}
	res.Seconds = time.Since(start).Seconds()
	res.Rate = float64(len(c.guests)) / res.Seconds
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
	res.ConnectCPU, res.HoldCPU = (before - idle).Seconds(), (after - before).Seconds()
	if c.o.Settle != nil {
		if err := c.o.Settle(ctx); err != nil {
			return err
		}
	}
	memory, err := gauge.Footprints(c.o.ServerPIDs)
	if err != nil {
		return err
	}
	res.Memory, res.Resident = memory.PSS, memory.RSS
	if c.o.Notify {
		if err := c.notify(ctx); err != nil {
			return err
		}
		l := c.notice.Latency()
		res.Notified = &l
	}
	// That each still answers is the proof that it was there all the time.
	return each(ctx, c.fail, c.o.Width, len(c.guests), func(_ context.Context, i int) error {
		if err := c.guests[i].leave(); err != nil {
			return fmt.Errorf("after waiting: %w", err)
		}
		return nil
	})
}

// join brings one connection to where it waits.
func (c *crowd) join(ctx context.Context, i int) error {
	begin := time.Now()
	g, err := c.enter(ctx, i)
	if err != nil {
		return err
	}
	c.guests[i] = g
	c.login.Add(time.Since(begin))
	c.ready.Add(1)
	return nil
}

// notify appends one message for each user, and waits until each connection was told by an EXISTS.
func (c *crowd) notify(ctx context.Context) error {
	told := make([]time.Time, len(c.guests))
	heard := make(chan error, 1)
	go func() { heard <- c.listen(ctx, told) }()
	err := errors.Join(c.append(ctx), <-heard)
	if err != nil {
		return err
	}
	for i, at := range told {
		c.notice.Add(at.Sub(c.appended[i%len(c.o.Users)]))
	}
	return nil
}

func (c *crowd) append(ctx context.Context) error {
	corpus := NewCorpus(1, load.MinSize)
	for u := range c.o.Users[:min(len(c.o.Users), len(c.guests))] {
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

// listen notes when each connection is told.
func (c *crowd) listen(ctx context.Context, told []time.Time) error {
	return each(ctx, c.fail, len(c.guests), len(c.guests), func(_ context.Context, i int) (err error) {
		told[i], err = c.guests[i].(*imapGuest).told()
		return err
	})
}

func (c *crowd) close() {
	for _, g := range c.guests {
		if g != nil {
			g.Close()
		}
	}
}
