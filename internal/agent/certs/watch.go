package certs

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"
)

const (
	// lookEvery is how often the files are read again. Their content is compared, so replaced files, changed links (as
	// certbot's live folder has) and files written in place are all seen; they are small.
	lookEvery = 5 * time.Second
	// soon is when a certificate that will expire is complained of, once a day.
	soon      = 7 * 24 * time.Hour
	warnEvery = 24 * time.Hour
)

// watcher remembers between looks what has been said.
type watcher struct {
	said   map[string]string // by file: the last trouble that was logged
	warned time.Time         // of expiry
}

// watch looks at the files until ctx ends.
func (m *Manager) watch(ctx context.Context) {
	w := watcher{said: map[string]string{}, warned: m.opt.Now()}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.look(ctx, &w)
		}
	}
}

// look reads all files of what is in force, and puts what has changed, and is whole, in its place.
func (m *Manager) look(ctx context.Context, w *watcher) {
	old := m.current.Load()
	fresh := *old
	fresh.pairs = slices.Clone(old.pairs)
	changed := false
	for i, p := range old.pairs {
		if next := m.again(ctx, w, p); next != nil {
			fresh.pairs[i], changed = next, true
		}
	}
	if old.clients != nil && m.clientsAgain(ctx, w, &fresh) {
		changed = true
	}
	if changed && ctx.Err() == nil {
		fresh.finish(m)
		if m.current.CompareAndSwap(old, &fresh) { // else a reload was quicker, and has read them too
			m.opt.Log.Info("certificate files have changed and are in use")
		}
	}
	if now := m.opt.Now(); now.Sub(w.warned) >= warnEvery {
		w.warned = now
		m.warnOfExpiry(now)
	}
}

// again returns the pair of changed files, or nil. What is not whole is tried again at the next look: key and certificate
// are often written one after the other.
func (m *Manager) again(ctx context.Context, w *watcher, p *pair) *pair {
	t, err := m.read(ctx, p.source)
	if err == nil && t.sum() == p.sum {
		delete(w.said, p.source.Cert)
		return nil
	}
	var next *pair
	if err == nil {
		next, err = parse(p.source, t)
	}
	if err != nil {
		m.keeps(ctx, w, p.source.Cert, err)
		return nil
	}
	delete(w.said, p.source.Cert)
	for _, text := range next.warnings(m.opt.Now()) {
		m.opt.Log.Warn("certificate", "problem", text)
	}
	return next
}

// keeps logs, once, that the old stays in use.
func (m *Manager) keeps(ctx context.Context, w *watcher, file string, err error) {
	if ctx.Err() == nil && w.said[file] != err.Error() {
		w.said[file] = err.Error()
		m.opt.Log.Error("the certificate read before stays in use", "problem", err.Error())
	}
}

// clientsAgain reads the authorities of client certificates again.
func (m *Manager) clientsAgain(ctx context.Context, w *watcher, l *Loaded) bool {
	file := l.settings.ClientCA
	text, err := m.readOne(ctx, file)
	if err == nil && bytes.Equal(text, l.clientCA) {
		delete(w.said, file)
		return false
	}
	if err == nil {
		roots, bad := pool(file, text)
		if err = bad; err == nil {
			l.clients, l.clientCA = roots, text
			delete(w.said, file)
			return true
		}
	}
	m.keeps(ctx, w, file, err)
	return false
}

func (m *Manager) warnOfExpiry(now time.Time) {
	for _, s := range m.Status() {
		if left := s.NotAfter.Sub(now); left < soon {
			m.opt.Log.Warn("certificate", "problem", "expires soon, or has expired", "names", strings.Join(s.Names, " "),
				"from", s.From, "expires", s.NotAfter.UTC().Format(time.RFC3339))
		}
	}
}
