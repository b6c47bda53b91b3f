package smtp

import (
	"time"

	"github.com/postrider/postrider/internal/mail/status"
)

// Register knows the sessions of a Server: for limits, and for operators who look at them. Its methods must not block and
// are called by many goroutines. A Peer is the session's own: it may be read during the call only.
type Register interface {
	// Connected is the first that is heard of a session. kick ends it, at any time, with a 421 that says the reason; it
	// does not block and may be called by anyone, also when the session has ended.
	Connected(p *Peer, kick func(reason string))
	// LoggedIn follows an authentication that succeeded, before the client hears of it. An error refuses the login, and is
	// the reply.
	LoggedIn(p *Peer) error
	// Ended is the last.
	Ended(p *Peer)
}

// kickGrace is how long a session that is busy may take to notice that it was kicked.
const kickGrace = 5 * time.Second

// Activity is how far a session is.
type Activity struct {
	Command  string // verb of the last command; CONNECT before the first
	Commands int
	Octets   int64 // of messages, read
	TLS      string
}

// kick ends the session from outside: as soon as it is at rest with a 421, and soon in any case.
func (s *session) kick(reason string) {
	s.mu.Lock()
	if s.kicked == "" {
		s.kicked = reason
	}
	s.mu.Unlock()
	s.wake()
	time.AfterFunc(kickGrace, func() { // of a session that has ended it means nothing
		s.cancel()
		s.kill()
	})
}

// called tells whether somebody wants a session at rest to end; mu is held.
func (s *session) called(atRest bool) error {
	switch {
	case !atRest:
		return nil
	case s.kicked != "":
		return errWasKicked
	case s.srv.draining.Load():
		return errDraining
	}
	return nil
}

// errKicked is the reply to who was kicked.
func (s *session) errKicked() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return status.Temp(421, 3, 2, s.kicked)
}

func (s *session) wasKicked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kicked != ""
}

// activity may be called by anyone.
func (s *session) activity() Activity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// show tells those who look from outside; mu is held.
func (s *session) show() {
	s.seen.Commands, s.seen.Command, s.seen.Octets = s.stats.Commands, s.stats.Last, s.stats.Octets
	if s.seen.Command == "" {
		s.seen.Command = "CONNECT"
	}
	if s.peer.TLS != nil && s.seen.TLS == "" {
		s.seen.TLS = s.peer.TLSText()
	}
}
