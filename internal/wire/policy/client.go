package policy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// Options of a client: Postfix's smtpd_policy_service_….
type Options struct {
	Network, Address string        // "tcp" or "unix"
	Timeout          time.Duration // of one attempt: connecting, asking, the answer
	RetryDelay       time.Duration // between attempts
	Tries            int           // attempts, at least 1
	Requests         int           // on a connection; 0: any number
	MaxIdle          time.Duration // a connection that was unused for so long is closed
	MaxTTL           time.Duration // a connection is closed after so long
	Connections      int           // at once; who needs one more waits
}

// Client asks one server. It is safe for concurrent use. Connections that fall idle close by themselves: a client that nobody
// needs any more may be forgotten.
type Client struct {
	opt   Options
	slots chan struct{}

	mu   sync.Mutex
	idle []*link // the one used last at the end
}

type link struct {
	net.Conn
	r        *bufio.Reader
	w        *bufio.Writer
	born     time.Time
	requests int
	reap     *time.Timer
}

// New makes a client. It connects when it is asked.
func New(o Options) *Client { return &Client{opt: o, slots: make(chan struct{}, o.Connections)} }

// Ask sends a request and returns the action of the answer.
func (c *Client) Ask(ctx context.Context, request []Attribute) (action string, err error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	for try := 1; ; try++ {
		if action, err = c.attempt(ctx, request); err == nil {
			return action, nil
		}
		if try >= c.opt.Tries || ctx.Err() != nil {
			return "", fmt.Errorf("policy server %s: %w", c.opt.Address, err)
		}
		wait := time.NewTimer(c.opt.RetryDelay)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return "", fmt.Errorf("policy server %s: %w", c.opt.Address, err)
		}
	}
}

// attempt asks on a connection that is idle, or on a new one. One that the server had closed before we asked is no attempt.
func (c *Client) attempt(ctx context.Context, request []Attribute) (string, error) {
	for l := c.take(); l != nil; l = c.take() {
		action, started, err := c.on(ctx, l, request)
		if err == nil || started || ctx.Err() != nil || isTimeout(err) {
			return action, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, c.opt.Network, c.opt.Address)
	if err != nil {
		return "", err
	}
	action, _, err := c.on(ctx, &link{Conn: conn, r: bufio.NewReaderSize(conn, maxLine), w: bufio.NewWriter(conn), born: time.Now()}, request)
	return action, err
}

// on asks on a connection, and keeps it or closes it.
func (c *Client) on(ctx context.Context, l *link, request []Attribute) (action string, started bool, err error) {
	stop := func() bool { return true }
	defer func() {
		if !stop() || err != nil || !c.keep(l) {
			_ = l.Close() // the answer is there, or will not come
		}
	}()
	if err := l.SetDeadline(time.Now().Add(c.opt.Timeout)); err != nil {
		return "", false, err
	}
	stop = context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(1, 0)) })
	l.requests++
	if err := write(l.w, request); err != nil {
		return "", false, err
	}
	return read(l.r)
}

// take returns the connection used last.
func (c *Client) take() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	l := c.idle[n-1]
	c.idle = c.idle[:n-1]
	l.reap.Stop()
	return l
}

// keep puts a connection back, until its time is over.
func (c *Client) keep(l *link) bool {
	left := min(c.opt.MaxIdle, c.opt.MaxTTL-time.Since(l.born))
	if left <= 0 || c.opt.Requests > 0 && l.requests >= c.opt.Requests {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, l)
	l.reap = time.AfterFunc(left, func() { c.drop(l) })
	return true
}

// drop closes a connection that is still idle.
func (c *Client) drop(l *link) {
	c.mu.Lock()
	i := slices.Index(c.idle, l)
	if i >= 0 {
		c.idle = slices.Delete(c.idle, i, i+1)
	}
	c.mu.Unlock()
	if i >= 0 {
		_ = l.Close()
	}
}

// Close closes the connections that are idle.
func (c *Client) Close() {
	for l := c.take(); l != nil; l = c.take() {
		_ = l.Close()
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
