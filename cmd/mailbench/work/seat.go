package work

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/cmd/mailbench/client"
)

// seat is one IMAP session: its user, its connection, its part of the mailbox.
type seat struct {
	run    *run
	number int
	m      *client.IMAP
	exists uint32
	cursor uint32 // messages of the mailbox that were used so far, in turn
}

func (r *run) worker(i int) worker {
	s := &seat{run: r, number: i}
	switch r.o.Protocol + " " + r.o.Workload {
	case "pop3 login":
		return &popLogin{pop{run: r, number: i}}
	case "pop3 list":
		return &popList{pop{run: r, number: i}}
	case "pop3 retr":
		return &popRetr{pop: pop{run: r, number: i}}
	case "imap login":
		return &login{s}
	case "imap select":
		return &selecting{s}
	case "imap store":
		return &store{seat: s}
	case "imap append":
		return &appending{seat: s}
	case "imap copy":
		return &copying{seat: s}
	}
	if strings.HasPrefix(r.o.Workload, "search-") {
		return &search{seat: s, want: r.o.Expect}
	}
	return newFetch(s)
}

func (s *seat) user() User { return s.run.o.Users[s.number%len(s.run.o.Users)] }

// login connects and logs in.
func (s *seat) login(ctx context.Context) error {
	m, err := dialIMAP(ctx, s.run.o.Target, s.user())
	s.m = m
	return err
}

// dialIMAP returns a connection that is logged in.
func dialIMAP(ctx context.Context, t client.Target, u User) (*client.IMAP, error) {
	m, err := client.DialIMAP(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := m.Login(u.Name, u.Password); err != nil {
		m.Close()
		return nil, fmt.Errorf("%s: %w", u.Name, err)
	}
	return m, nil
}

// open logs in and opens the mailbox, which must have messages.
func (s *seat) open(ctx context.Context, readOnly bool) error {
	err := s.login(ctx)
	if err == nil {
		s.exists, err = s.m.Select(s.run.o.Mailbox, readOnly)
	}
	if err == nil && s.exists == 0 {
		err = fmt.Errorf("%s of %s has no messages; `mailbench fill` makes some", s.run.o.Mailbox, s.user().Name)
	}
	return err
}

// window returns the next messages, low to high: all are used in turn, n at a time.
func (s *seat) window(n, low, high uint32) (first, last uint32) {
	size := high - low + 1
	if n == 0 || n > size {
		n = size
	}
	if s.cursor+n > size {
		s.cursor = 0
	}
	first = low + s.cursor
	s.cursor += n
	return first, first + n - 1
}

// batch is how many messages an operation is about.
func (s *seat) batch(usual int) uint32 {
	if s.run.o.Batch > 0 {
		usual = s.run.o.Batch
	}
	return uint32(usual)
}

// part divides the mailbox among the sessions of the same user, for workloads that change messages.
func (s *seat) part() (low, high uint32, err error) {
	users := uint64(len(s.run.o.Users))
	sharing := (uint64(s.run.o.Sessions) + users - 1 - uint64(s.number)%users) / users
	place := uint64(s.number) / users
	low = uint32(uint64(s.exists)*place/sharing) + 1
	high = uint32(uint64(s.exists) * (place + 1) / sharing)
	if high < low {
		return 0, 0, fmt.Errorf("%s of %s has %d messages, too few for %d sessions", s.run.o.Mailbox, s.user().Name, s.exists, sharing)
	}
	return low, high, nil
}

func (s *seat) finish() error {
	if s.m == nil {
		return nil
	}
	m := s.m
	s.m = nil
	return m.Logout()
}

func (s *seat) abandon() {
	if s.m != nil {
		s.m.Close()
		s.m = nil
	}
}

// create makes a mailbox; made is false if it was there.
func create(m *client.IMAP, mailbox string) (made bool, err error) {
	_, err = m.Do("CREATE "+client.Quote(mailbox), nil)
	if err == nil {
		return true, nil
	}
	var refused *client.Refused
	if errors.As(err, &refused) { // that it is there need not be told by a code: see whether it can be asked
		if _, e := m.Status(mailbox, "MESSAGES"); e == nil {
			return false, nil
		}
	}
	return false, err
}

// login is connecting, logging in, logging out.
type login struct{ *seat }

func (l *login) prepare(context.Context) error { return nil }

func (l *login) operate(ctx context.Context) (done, error) {
	if err := l.login(ctx); err != nil {
		return done{}, err
	}
	return done{}, l.finish()
}

// selecting opens a mailbox again and again.
type selecting struct{ *seat }

func (s *selecting) prepare(ctx context.Context) error {
	err := s.seat.login(ctx)
	if err != nil {
		return err
	}
	n, err := s.m.Status(s.run.o.Mailbox, "MESSAGES")
	s.exists = uint32(n)
	return err
}

func (s *selecting) operate(context.Context) (done, error) {
	n, err := s.m.Select(s.run.o.Mailbox, false)
	if err == nil && n != s.exists {
		err = fmt.Errorf("SELECT says %d messages, STATUS said %d", n, s.exists)
	}
	return done{messages: int64(n)}, err
}
