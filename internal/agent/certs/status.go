package certs

import "time"

// Status is one certificate that can be shown, or one that ACME could not obtain yet.
type Status struct {
	Names     []string
	From      string    // its file, "acme", or "self-signed"
	NotBefore time.Time // zero: there is none yet
	NotAfter  time.Time
	Problem   string // why ACME has none, or could not renew it; "": nothing is known to be wrong
}

// Status lists the certificates, the default first. The self-signed one is listed where nothing else is there.
func (m *Manager) Status() (list []Status) {
	l := m.current.Load()
	if l == nil {
		return nil
	}
	for _, p := range l.pairs {
		list = append(list, statusOf(p, p.source.Cert))
	}
	have := len(list) > 0
	if a := m.acme.Load(); a != nil {
		for _, s := range a.status() {
			have = have || !s.NotAfter.IsZero()
			list = append(list, s)
		}
	}
	if !have && l.fallback != nil {
		list = append(list, statusOf(l.fallback, "self-signed"))
	}
	return list
}

func statusOf(p *pair, from string) Status {
	return Status{Names: p.names, From: from, NotBefore: p.cert.Leaf.NotBefore, NotAfter: p.cert.Leaf.NotAfter}
}

// Expiry is the time that is left to each name's certificate, in seconds, negative when it is over; for the metric.
func (m *Manager) Expiry() map[string]float64 {
	out := map[string]float64{}
	now := m.opt.Now()
	for _, s := range m.Status() {
		if s.NotAfter.IsZero() {
			continue
		}
		left := s.NotAfter.Sub(now).Seconds()
		for _, name := range s.Names {
			if other, ok := out[name]; !ok || left < other {
				out[name] = left
			}
		}
	}
	return out
}
