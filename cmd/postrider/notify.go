package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/postrider/postrider/internal/obs"
)

// notifier tells the service manager how the server is (sd_notify(3)). Without one, where NOTIFY_SOCKET is not set, it does
// nothing. A word that does not get through is logged and changes nothing.
type notifier struct {
	log      *slog.Logger
	watchdog time.Duration // 0: the manager does not watch
}

func newNotifier(log *slog.Logger) *notifier {
	n := &notifier{log: log}
	var err error
	if n.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Warn("the service manager's watchdog is not understood, and not served", obs.KeyError, err)
	}
	return n
}

func (n *notifier) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("the service manager was not told", "state", state, obs.KeyError, err)
	}
}

func (n *notifier) ready(status string) { n.tell(daemon.SdNotifyReady + "\nSTATUS=" + status) }

// reloading is followed by ready, whatever came of the reload.
func (n *notifier) reloading() {
	n.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

func (n *notifier) stopping() { n.tell(daemon.SdNotifyStopping + "\nSTATUS=draining") }

// watch pings the watchdog while the server is healthy, until ctx ends. It asks and pings twice per period, as
// sd_watchdog_enabled(3) advises; a server that hangs or cannot write is not pinged for, and is started again.
func (n *notifier) watch(ctx context.Context, healthy func(context.Context) error) {
	if n.watchdog <= 0 {
		return
	}
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		probe, cancel := context.WithTimeout(ctx, n.watchdog/2)
		err := healthy(probe)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			n.log.Error("not healthy; the service manager is not told to wait", obs.KeyError, err)
		default:
			n.tell(daemon.SdNotifyWatchdog)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
