package node

import (
	"sync"
	"time"
)

// watchCrowds makes the gauges of what comes in crowds: connections, logins, messages on their way in.
func (n *Node) watchCrowds() {
	n.metrics.GaugeSet("connections", "Connections that are open.", "service", func() map[string]float64 {
		return n.services.perService(func(s served) float64 { return float64(s.Connections()) })
	})
	n.metrics.GaugeSet("connections_refused", "Connections for which there was no room, since the start.", "service", func() map[string]float64 {
		return n.services.perService(func(s served) float64 { return float64(s.Refused()) })
	})
	n.metrics.GaugeFunc("logins_checking", "Passwords that are being hashed.", func() float64 { return float64(n.directory.Load().Checking) })
	n.metrics.GaugeFunc("logins_waiting", "Logins that wait for their password to be hashed.", func() float64 { return float64(n.directory.Load().Waiting) })
	n.metrics.GaugeFunc("logins_put_off", "Logins that were told to try again, since the start.", func() float64 { return float64(n.directory.Load().Refused) })
	n.metrics.GaugeFunc("messages_arriving", "Messages on their way in.", func() float64 { now, _ := n.incoming.load(); return float64(now) })
	n.metrics.GaugeFunc("messages_put_off", "Messages for which there was no room, in number or on the disk, since the start.", func() float64 {
		_, refused := n.incoming.load()
		return float64(refused)
	})
}

// served is an engine as the gauges see it.
type served interface {
	Connections() int
	Refused() uint64
}

// perService asks each engine; nothing before the start.
func (s *services) perService(ask func(served) float64) map[string]float64 {
	out := map[string]float64{}
	if s == nil {
		return out
	}
	for service, e := range s.smtp {
		out[service] = ask(e)
	}
	out["imap"], out["pop3"] = ask(s.imap), ask(s.pop3)
	return out
}

// sometimes bounds how often one kind of trouble is put into the log. It is safe for concurrent use.
type sometimes struct {
	mu    sync.Mutex
	told  time.Time
	times int // since told
}

// happened returns how often it has happened since that was last put into the log, or 0: it was put there not long ago.
func (s *sometimes) happened(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times++
	if !s.told.IsZero() && now.Sub(s.told) < tellRefusals {
		return 0
	}
	n := s.times
	s.told, s.times = now, 0
	return n
}
