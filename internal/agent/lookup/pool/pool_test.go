package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type conn struct {
	host   string
	closed atomic.Bool
}

type bench struct {
	*Pool[*conn]
	mu    sync.Mutex
	down  map[string]bool
	dials []string
	open  atomic.Int64
	most  atomic.Int64
}

func newBench(hosts ...string) *bench {
	b := &bench{down: map[string]bool{}}
	b.Pool = New(Config[*conn]{Hosts: hosts, Max: 3, Idle: time.Minute, Retry: time.Minute, Now: time.Now,
		Intn: func(n int) int { return n - 1 },
		Dial: func(ctx context.Context, host string) (*conn, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.dials = append(b.dials, host)
			if b.down[host] {
				return nil, errors.New("refused")
			}
			b.most.Store(max(b.most.Load(), b.open.Add(1)))
			return &conn{host: host}, nil
		},
		Close: func(c *conn) {
			if c.closed.Swap(true) {
				panic("closed twice")
			}
			b.open.Add(-1)
		}})
	return b
}

func (b *bench) ask(t *testing.T, ctx context.Context) (host string, err error) {
	t.Helper()
	err = b.Do(ctx, func(_ context.Context, c *conn) error {
		if c.closed.Load() {
			t.Error("a closed connection is used")
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.down[c.host] {
			return errors.New("broken pipe")
		}
		host = c.host
		return nil
	})
	return host, err
}

func (b *bench) set(host string, down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down[host], b.dials = down, nil
}

func (b *bench) want(t *testing.T, host, dials string) {
	t.Helper()
	got, err := b.ask(t, t.Context())
	if err != nil {
		got = "error"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if got != host || strings.Join(b.dials, " ") != dials {
		t.Errorf("answered by %q after dialling %v, want %q after %q (%v)", got, b.dials, host, dials, err)
	}
	b.dials = nil
}

func TestFallOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("a", "b")
		b.want(t, "a", "a")
		b.want(t, "a", "") // the same connection
		b.set("a", true)
		b.want(t, "b", "a b") // the connection broke, and nobody answers a new one
		b.set("a", false)
		time.Sleep(time.Minute - time.Second)
		b.want(t, "b", "")
		b.set("b", true)
		b.want(t, "error", "b") // a is still left alone
		b.want(t, "error", "b") // all dead: one attempt
		b.want(t, "error", "")  // and not another within a second
		time.Sleep(time.Second)
		b.want(t, "a", "a")
		time.Sleep(time.Minute)
		b.set("a", true)
		b.set("b", false)
		b.want(t, "b", "a b")
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("a")
		b.want(t, "a", "a")
		time.Sleep(time.Minute)
		b.want(t, "a", "a")
		if n := b.open.Load(); n != 1 {
			t.Errorf("%d connections are open", n)
		}
		b.Shut()
		b.want(t, "a", "a")
		if n := b.open.Load(); n != 0 {
			t.Errorf("%d connections are open after the end", n)
		}
	})
}

func TestAnsweredIsNoOutage(t *testing.T) {
	b := newBench("a", "b")
	err := b.Do(t.Context(), func(context.Context, *conn) error { return Answered{errors.New("syntax error")} })
	if err == nil || len(b.dials) != 1 {
		t.Errorf("%v after %v", err, b.dials)
	}
	b.want(t, "a", "a") // the sum of both: no second connection
}

func TestBoundedAndPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("a")
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := b.Do(t.Context(), func(context.Context, *conn) error { time.Sleep(time.Second); return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := b.most.Load(); n > 3 {
			t.Errorf("%d connections at once", n)
		}
		// A host that hangs costs what the context allows, and is dead afterwards; who waits behind it has the same end.
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		failed := make(chan error, 6)
		for range 6 {
			go func() {
				failed <- b.Do(ctx, func(ctx context.Context, _ *conn) error { <-ctx.Done(); return ctx.Err() })
			}()
		}
		for range 6 {
			if err := <-failed; !errors.Is(err, context.DeadlineExceeded) && err == nil {
				t.Error("a host that hangs answered")
			}
		}
		time.Sleep(time.Second)
		if got := fmt.Sprint(b.order()); got != "[a]" {
			t.Errorf("the probe: %s", got)
		}
		if got := fmt.Sprint(b.order()); got != "[]" {
			t.Errorf("the host lives: %s", got)
		}
	})
}

// TestTimeOutIsOneHosts: a host that hangs in the middle of a connection is left alone; another that lives is not.
func TestTimeOutIsOneHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("a", "b")
		b.want(t, "a", "a")
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Do(late, func(ctx context.Context, _ *conn) error { <-ctx.Done(); return ctx.Err() }); err == nil || !strings.HasPrefix(err.Error(), "a: ") {
			t.Errorf("the host that hangs: %v", err)
		}
		b.want(t, "b", "b")
	})
}

// TestTimeOutClosesIdle: when a connection hangs, those beside it are not kept for others to hang on; a client that went away
// costs the others nothing.
func TestTimeOutClosesIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench("a")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_ = b.Do(t.Context(), func(context.Context, *conn) error { time.Sleep(time.Second); return nil })
			})
		}
		wg.Wait()
		hang := func(ctx context.Context, _ *conn) error { <-ctx.Done(); return ctx.Err() }
		gone, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := b.Do(gone, hang); err == nil || b.open.Load() != 2 {
			t.Errorf("%v; %d connections are open", err, b.open.Load())
		}
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Do(late, hang); err == nil || b.open.Load() != 0 {
			t.Errorf("%v; %d connections are open", err, b.open.Load())
		}
	})
}
