package imap

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/internal/wire/link"
)

// keepMessages is how many messages the views may hold that no session uses any more, so that the next SELECT need not
// load them again: at 12 bytes each, 24 MB. A view costs as much as viewMessages of them before it has any: there are at
// most 2,000, however many mailboxes are empty. One that is too large by itself is not kept and costs no other its place.
const (
	keepMessages = 2_000_000
	viewMessages = 1000
)

var errNotLoaded = errors.New("mailbox could not be loaded")

// hub owns the views of mailboxes, one for all sessions of this process that select the same one.
//
// Lock order: hub.mu, then shared.mu, then the lock of link.Transport. Nothing blocks under any of them.
type hub struct {
	backend Backend

	mu    sync.Mutex
	views map[MailboxID]*shared
	idle  []*shared // not used by any session, the oldest first
	kept  int       // cost of idle
	moves int       // into idle since kept was counted
}

// shared is one mailbox's view.
type shared struct {
	id    MailboxID
	ready chan struct{} // closed when load has ended
	err   error         // of load; read after ready
	stop  func()        // of Watch; read after ready
	users int           // hub.mu
	cost  int           // while it is idle; hub.mu

	mu       sync.Mutex
	mailbox  *view.Mailbox
	loaded   bool
	early    []view.Event // fed while loading
	sessions map[*link.Transport]struct{}
}

func newHub(b Backend) *hub { return &hub{backend: b, views: map[MailboxID]*shared{}} }

// open returns the view of a mailbox, loading it if need be. Each success is matched by a close.
func (h *hub) open(ctx context.Context, id MailboxID, t *link.Transport) (*shared, error) {
	h.mu.Lock()
	s, first := h.views[id], false
	if s == nil {
		first = true
		s = &shared{id: id, ready: make(chan struct{}), mailbox: view.NewMailbox(0), sessions: map[*link.Transport]struct{}{}}
		h.views[id] = s
	} else if s.users == 0 {
		h.unkeep(s)
	}
	s.users++
	h.mu.Unlock()
	opened := false
	defer func() { // also if the Backend panics
		if !opened {
			h.close(s, nil)
		}
	}()
	if first {
		h.load(ctx, s)
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	s.mu.Lock()
	s.sessions[t] = struct{}{}
	s.mu.Unlock()
	opened = true
	return s, nil
}

func (h *hub) load(ctx context.Context, s *shared) {
	defer close(s.ready)
	s.err = errNotLoaded
	defer func() {
		if s.err != nil {
			h.mu.Lock()
			delete(h.views, s.id)
			h.mu.Unlock()
		}
	}()
	// Watch first: what is committed between here and the snapshot comes twice, which is harmless, and nothing is missed.
	stop, err := h.backend.Watch(s.id, s.feed)
	if err != nil {
		s.err = err
		return
	}
	s.stop = stop
	next, modseq, err := h.backend.Load(ctx, s.id, s.mailbox.Add)
	if s.err = err; err != nil {
		return
	}
	s.mailbox.Loaded(next, modseq)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = true
	for _, ev := range s.early {
		s.mailbox.Apply(ev)
	}
	s.early = nil
}

// feed is the sink of the change feed.
func (s *shared) feed(ev view.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.loaded {
		s.early = append(s.early, ev)
		return
	}
	s.mailbox.Apply(ev)
	for t := range s.sessions {
		t.Notify(sigNews)
	}
}

// close ends one use.
func (h *hub) close(s *shared, t *link.Transport) {
	s.mu.Lock()
	delete(s.sessions, t)
	cost, keep := 0, s.loaded && !s.mailbox.Gone()
	if keep {
		cost = viewMessages + s.mailbox.Len()
	}
	s.mu.Unlock()
	h.mu.Lock()
	var drop []*shared
	if s.users--; s.users == 0 {
		if keep && s.err == nil && cost <= keepMessages {
			drop = h.keep(s, cost)
		} else {
			drop = append(drop, s)
		}
		for _, d := range drop {
			if h.views[d.id] == d {
				delete(h.views, d.id)
			}
		}
	}
	h.mu.Unlock()
	for _, d := range drop {
		if d.stop != nil {
			d.stop()
		}
	}
}

// keep puts s among the idle views and takes out those for which there is no more room; h.mu is held.
func (h *hub) keep(s *shared, cost int) (drop []*shared) {
	s.cost = cost
	h.idle = append(h.idle, s)
	h.kept += cost
	// Mailboxes grow while nobody looks. So costs are counted anew, once in as many moves as there are views.
	if h.moves++; h.moves >= len(h.idle) {
		h.moves, h.kept = 0, 0
		for _, k := range h.idle {
			k.mu.Lock()
			k.cost = viewMessages + k.mailbox.Len()
			k.mu.Unlock()
			h.kept += k.cost
		}
	}
	for h.kept > keepMessages {
		drop = append(drop, h.idle[0])
		h.unkeep(h.idle[0])
	}
	return drop
}

// unkeep takes s out of the idle views; h.mu is held.
func (h *hub) unkeep(s *shared) {
	i := slices.Index(h.idle, s)
	h.idle = slices.Delete(h.idle, i, i+1)
	h.kept -= s.cost
}

// shutdown stops the watches of idle views.
func (h *hub) shutdown() {
	h.mu.Lock()
	idle := h.idle
	h.idle, h.kept = nil, 0
	for _, s := range idle {
		delete(h.views, s.id)
	}
	h.mu.Unlock()
	for _, s := range idle {
		s.stop()
	}
}
