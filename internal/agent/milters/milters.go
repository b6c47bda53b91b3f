// Package milters asks mail filters of the milter protocol about sessions and messages: a gate. The settings have Postfix's
// names and meaning (MILTER_README).
//
// Each SMTP session has one connection to each filter. The events of the session are passed on as they come; the message goes
// to the filters one after the other when all of it is here, each seeing it as the one before has left it. What a filter wants
// changed is collected and done when it has said yes.
//
// A filter that cannot be reached, or does not keep to the protocol or to its time, is left alone for the rest of the session,
// and its default action takes its place: tempfail unless the configuration says otherwise. A broken filter never loses mail.
//
// Files: milters.go (settings, the gate) · parse.go (milters as the configuration names them) · session.go (a session) ·
// message.go (a message) · macros.go (their values).
package milters

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/milter"
)

// Action is what takes the place of a filter that cannot be asked.
type Action string

// The actions.
const (
	Accept     Action = "accept"
	Reject     Action = "reject"
	TempFail   Action = "tempfail"
	Quarantine Action = "quarantine"
	Shutdown   Action = "shutdown"
)

// Milter is one filter.
type Milter struct {
	Name             string // as configured: inet:host:port, unix:/path
	Network, Address string
	Connect          time.Duration // for the connection
	Command          time.Duration // for answers to SMTP commands
	Content          time.Duration // for answers to header, body and end
	Version          uint32        // of the protocol, 2 to 6
	Default          Action
}

// Settings of a Gate.
type Settings struct {
	Milters    []Milter
	Macros     milter.Macros
	Hostname   string // {j}
	DaemonName string // {daemon_name}
	V          string // {v}
	MaxBytes   int64  // of a new body
	// Added judges a field that a filter adds or changes (milter_header_checks); nil: none does. It may change it, keep it (the
	// same), or drop it (empty); an error refuses the message.
	Added func(ctx context.Context, tx *gate.Transaction, field string) (string, error)
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Log   *slog.Logger
}

// Gate asks the filters.
type Gate struct{ set *Settings }

var _ gate.Gate = (*Gate)(nil)

// New makes a Gate. s must not change any more.
func New(s *Settings) *Gate {
	if s.Dial == nil {
		s.Dial = (&net.Dialer{}).DialContext
	}
	return &Gate{s}
}

// Connect begins a session with each filter.
func (g *Gate) Connect(ctx context.Context, c *gate.Conn) (gate.Session, error) {
	if c.Dry { // nobody is to hear of a session that is only thought of
		for _, m := range g.set.Milters {
			c.Tell(gate.AtConnect, "milter "+m.Name, "not asked")
		}
		return gate.Open{}, nil
	}
	s := &session{set: g.set, conn: c, filters: make([]*filter, len(g.set.Milters))}
	for i := range g.set.Milters {
		s.filters[i] = &filter{Milter: &g.set.Milters[i], s: s}
	}
	if err := s.connect(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// The replies of default actions are Postfix's.
var (
	errReject   = status.Perm(550, 5, 0, "Service unavailable")
	errTempFail = status.Temp(451, 7, 1, "Service unavailable - try again later")
	errShutdown = status.Temp(421, 7, 0, "Server closing connection")
)
