package node

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// registry knows every connection of the mail protocols, and counts those of each account. The count and the decision by
// it are one step under its lock. Its methods do not block, and it has no clock, net or goroutine of its own.
type registry struct {
	mu       sync.Mutex
	sessions map[string]*session
	uses     map[use]*used

	unchecked sometimes // logins
}

// session is one connection.
type session struct {
	id       string // as in the log
	service  string // listener's name
	client   netip.AddrPort
	since    time.Time
	kick     func(reason string)
	activity func() activity

	mech    string        // by which the client has proven who it is
	who     sasl.Identity // zero: nobody has logged in
	counted []use
}

// activity is how far a session is.
type activity struct {
	command  string
	commands int
	in, out  int64
	tls      string
}

// use is what connections are counted by: an account in one protocol, and there from one place.
type use struct {
	family  string // of services: imap, pop3, …
	account int64
	site    netip.Prefix // an IPv4 address or an IPv6 /64; zero: from anywhere
}

// used is how a use stands. It is forgotten when there is none.
type used struct {
	now     int
	refused int       // since told
	told    time.Time // when a refusal was last put into the log
}

// limits are the most that there may be; 0: any number.
type limits struct{ perAccount, perAccountAndAddress int }

// tellRefusals is how often refusals of one use, or of one kind, are put into the log.
const tellRefusals = time.Minute

// The refusals; 454 4.7.0 is RFC 4954 §4's temporary authentication failure.
var (
	errAccountFull = status.Temp(454, 7, 0, "Too many connections of this account; close some and try again")
	errSiteFull    = status.Temp(454, 7, 0, "Too many connections of this account from your address; close some and try again")
)

// tooMany is a login that was refused for a limit.
type tooMany struct {
	err  *status.Error // what the client is told
	most int
	here bool // it is that of one address
	// tell: it is to be put into the log, with how often there were such refusals since the last that was.
	tell    bool
	refused int
}

func (e *tooMany) Error() string { return fmt.Sprintf("%s (limit %d)", e.err.Public, e.most) }
func (e *tooMany) Unwrap() error { return e.err }

// setting is the name of the limit.
func (e *tooMany) setting() string {
	if e.here {
		return "auth.max_connections_per_account_and_address"
	}
	return "imap.max_connections_per_account"
}

func newRegistry() *registry {
	return &registry{sessions: map[string]*session{}, uses: map[use]*used{}}
}

// connected begins a session.
func (r *registry) connected(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[s.id] = s
}

// proven notes how a session's client has proven who it is.
func (r *registry) proven(id, mech string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[id]; s != nil {
		s.mech = mech
	}
}

// loggedIn says who a session is of, and returns how that was proven, or refuses it with a *tooMany. Master users do not
// count as the user's own.
func (r *registry) loggedIn(id string, who sasl.Identity, l limits, now time.Time) (mech string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[id]
	if s == nil {
		return "", nil // it has ended meanwhile
	}
	if who.Master == "" {
		everywhere := use{family: family(s.service), account: who.Account}
		here := everywhere
		here.site = site(s.client.Addr())
		if err := r.refuse(everywhere, l.perAccount, errAccountFull, now); err != nil {
			return "", err
		}
		if here.site.IsValid() {
			if err := r.refuse(here, l.perAccountAndAddress, errSiteFull, now); err != nil {
				return "", err
			}
		}
		r.release(s)
		r.count(s, everywhere)
		if here.site.IsValid() {
			r.count(s, here)
		}
	}
	s.who = who
	return s.mech, nil
}

// refuse tells why there may be no more of a use; mu is held.
func (r *registry) refuse(u use, most int, err *status.Error, now time.Time) error {
	state := r.uses[u]
	if most == 0 || state == nil || state.now < most {
		return nil
	}
	state.refused++
	out := &tooMany{err: err, most: most, here: u.site.IsValid(), refused: state.refused}
	if state.told.IsZero() || now.Sub(state.told) >= tellRefusals {
		out.tell, state.told, state.refused = true, now, 0
	}
	return out
}

// count is release's opposite; mu is held.
func (r *registry) count(s *session, u use) {
	state := r.uses[u]
	if state == nil {
		state = &used{}
		r.uses[u] = state
	}
	state.now++
	s.counted = append(s.counted, u)
}

func (r *registry) release(s *session) {
	for _, u := range s.counted {
		if r.uses[u].now--; r.uses[u].now == 0 {
			delete(r.uses, u)
		}
	}
	s.counted = nil
}

// ended forgets a session.
func (r *registry) ended(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[id]; s != nil {
		r.release(s)
		delete(r.sessions, id)
	}
}

// selection says which sessions are meant; what is empty means any.
type selection struct {
	ids     []string
	account int64
	service string
	client  netip.Prefix
}

func (f *selection) takes(s *session) bool {
	return (len(f.ids) == 0 || slices.Contains(f.ids, s.id)) && (f.account == 0 || s.who.Account == f.account) &&
		(f.service == "" || s.service == f.service || family(s.service) == f.service) &&
		(!f.client.IsValid() || f.client.Contains(s.client.Addr().Unmap().WithZone("")))
}

// list returns the sessions that f takes, the oldest first. They are copies.
func (r *registry) list(f selection) (list []session) {
	r.mu.Lock()
	for _, s := range r.sessions {
		if f.takes(s) {
			list = append(list, *s)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b session) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id)) })
	return list
}

// family is the protocol of a service: imap and imaps are one.
func family(service string) string {
	return strings.TrimSuffix(service, "s")
}

// site is what clients are told apart by: an IPv4 address, an IPv6 /64. It is zero for what is no address.
func site(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
