package link

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// Waits between attempts to accept that fail.
	shortestPause = 5 * time.Millisecond
	longestPause  = time.Second
	// tellEvery is how often one kind of trouble is put into the log; a flood of it must not become a flood of lines.
	tellEvery = time.Minute
)

// Accept accepts connections until ctx ends or the listener is closed; then it closes the listener and returns nil. It
// returns an error only if accepting failed for another reason. Each connection gets a goroutine of its own.
//
// When the process, or the system, is out of descriptors, those who knock are let in one at a time by a descriptor kept for
// that, and given to turnAway, which must not keep them: they come again later, and do not hang in the kernel's queue until
// their patience ends.
func Accept(ctx context.Context, l net.Listener, log *slog.Logger, serve, turnAway func(net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	a := acceptor{Listener: l, log: log}
	a.keepSpare()
	defer a.dropSpare()
	pause := shortestPause
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = shortestPause
			a.keepSpare()
			go serve(nc)
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return nil
		}
		scarce := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
		if te, ok := err.(interface{ Temporary() bool }); !scarce && (!ok || !te.Temporary()) {
			return err
		}
		a.tell(err)
		if scarce && a.dropSpare() {
			// Somebody knocks, or accepting would not have failed. Another goroutine may be quicker to take the descriptor: then
			// this fails too, and after the pause it is tried again.
			if nc, err := l.Accept(); err == nil {
				turnAway(nc)
				_ = nc.Close()
				a.away++
				a.keepSpare()
				continue
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, longestPause)
		a.keepSpare()
	}
}

// acceptor is what Accept remembers.
type acceptor struct {
	net.Listener
	log   *slog.Logger
	spare *os.File // nil: none could be had
	told  time.Time
	fails int // since told
	away  int // turned away since told
}

func (a *acceptor) keepSpare() {
	if a.spare == nil {
		a.spare, _ = os.Open(os.DevNull) // nil when there is none to have; it is tried again
	}
}

// dropSpare returns whether there was one.
func (a *acceptor) dropSpare() bool {
	had := a.spare != nil
	if had {
		_ = a.spare.Close()
	}
	a.spare = nil
	return had
}

// tell puts the trouble into the log now and then.
func (a *acceptor) tell(err error) {
	a.fails++
	if !a.told.IsZero() && time.Since(a.told) < tellEvery {
		return
	}
	a.log.Error("connections cannot be accepted; they are turned away until descriptors are free", "address", a.Addr().String(), "err", err,
		"failures", a.fails, "turned_away", a.away)
	a.told, a.fails, a.away = time.Now(), 0, 0
}
