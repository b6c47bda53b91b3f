package node

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/directory"
)

// lastLoginPace is how often last logins are written down; a crash loses those since.
const lastLoginPace = time.Minute

// lastLogins gathers who logged in, so that a login costs no write: of many logins of one account the last is written,
// with those of all others in one transaction.
type lastLogins struct {
	record func(context.Context, []directory.LastLogin) error
	log    *obs.Log
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	pending map[loginKey]directory.LastLogin // bounded by accounts times services
}

type loginKey struct {
	account int64
	service string
}

func newLastLogins(record func(context.Context, []directory.LastLogin) error, log *obs.Log) *lastLogins {
	return &lastLogins{record: record, log: log, pending: map[loginKey]directory.LastLogin{}}
}

// note remembers a login. It does not block.
func (l *lastLogins) note(login directory.LastLogin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending[loginKey{login.Account, login.Service}] = login
}

// flush writes down what is remembered. What cannot be written stays for the next time, unless there is something newer.
func (l *lastLogins) flush(ctx context.Context) error {
	l.mu.Lock()
	taken := l.pending
	l.pending = map[loginKey]directory.LastLogin{}
	l.mu.Unlock()
	if len(taken) == 0 {
		return nil
	}
	err := l.record(ctx, slices.Collect(maps.Values(taken)))
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		maps.Copy(taken, l.pending)
		l.pending = taken
	}
	return err
}

// start begins to write in the background; stop ends that with a last write.
func (l *lastLogins) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.done = cancel, make(chan struct{})
	go func() {
		defer close(l.done)
		tick := time.NewTicker(lastLoginPace)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := l.flush(ctx); err != nil && ctx.Err() == nil {
					l.log.Warn("last logins could not be written; they will be tried again", obs.KeyError, err)
				}
			}
		}
	}()
}

func (l *lastLogins) stop(ctx context.Context) error {
	if l.cancel != nil {
		l.cancel()
		<-l.done
	}
	return l.flush(ctx)
}
