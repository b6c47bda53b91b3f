package smtp

import (
	"errors"
	"strings"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
)

func (s *session) authOffered() bool {
	return s.cfg.Auth != nil && s.peer.TLS != nil && s.peer.Identity.IsZero()
}

// auth is RFC 4954 §4.
func (s *session) auth(args string) {
	switch {
	case s.cfg.Auth == nil:
		s.fault(errNoVerb)
		return
	case s.peer.TLS == nil:
		s.refuse(ErrNeedTLS, EventAuthFailed)
		return
	case !s.peer.Identity.IsZero():
		s.fault(errSequence)
		return
	}
	mech, initial, given := strings.Cut(args, " ")
	x, err := s.cfg.Auth.Start(mech)
	if err != nil {
		s.fault(err)
		return
	}
	var response []byte
	if given {
		if response, err = sasl.DecodeInitial(initial); err != nil {
			s.fault(err)
			return
		}
	}
	s.exchange(x, response)
}

func (s *session) exchange(x *sasl.Exchange, response []byte) {
	ctx := sasl.WithOrigin(s.ctx, s.origin())
	for {
		challenge, done, err := x.Next(ctx, response)
		if err != nil {
			s.authFailed(err)
			return
		}
		if done {
			s.peer.Identity, s.peer.Mechanism = x.Identity(), x.Mechanism()
			if err := s.cfg.Register.LoggedIn(&s.peer); err != nil {
				s.peer.Identity, s.peer.Mechanism = sasl.Identity{}, ""
				s.authFailed(err)
				return
			}
			s.event(EventAuth)
			s.reply(235, "2.7.0", "Authentication successful")
			return
		}
		s.reply(334, "", sasl.Encode(challenge))
		line, err := s.line(sasl.MaxLine)
		if bad := (*status.Error)(nil); errors.As(err, &bad) {
			s.authFailed(bad)
			return
		} else if err != nil {
			s.lost(err)
			return
		}
		if response, err = sasl.DecodeResponse(line); err != nil {
			s.authFailed(err)
			return
		}
	}
}

func (s *session) authFailed(err error) {
	s.authFailures++
	if s.authFailures >= s.cfg.Limits.AuthFailures {
		s.event(EventAuthFailed)
		s.hangUp(errRepeated, EndLimit)
		return
	}
	s.refuse(err, EventAuthFailed)
}
