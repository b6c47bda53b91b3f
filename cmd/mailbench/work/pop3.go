package work

import (
	"context"
	"fmt"
	"strconv"

	"github.com/postrider/postrider/cmd/mailbench/client"
)

const retrieveBatch = 10 // messages of one operation, if not said otherwise

// pop is one POP3 session.
type pop struct {
	run    *run
	number int
	p      *client.POP3
	sizes  []int64 // of each message, from LIST
	cursor int
}

func (s *pop) login(ctx context.Context) error {
	p, err := client.DialPOP3(ctx, s.run.o.Target)
	if err != nil {
		return err
	}
	s.p = p
	u := s.run.o.Users[s.number]
	if err := p.Login(u.Name, u.Password); err != nil {
		return fmt.Errorf("%s: %w", u.Name, err)
	}
	return nil
}

// list reads LIST; it must agree with STAT.
func (s *pop) list() (octets int64, err error) {
	messages, all, err := s.p.Stat()
	if err != nil {
		return 0, err
	}
	s.sizes = s.sizes[:0]
	err = s.p.List("LIST", func(n int64, value []byte) error {
		size, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n != int64(len(s.sizes))+1 {
			return fmt.Errorf("a line %d %q after %d others", n, value, len(s.sizes))
		}
		s.sizes = append(s.sizes, size)
		octets += size
		return nil
	})
	if err == nil && (int64(len(s.sizes)) != messages || octets != all) {
		err = fmt.Errorf("STAT says %d messages of %d octets, LIST has %d of %d", messages, all, len(s.sizes), octets)
	}
	return octets, err
}

func (s *pop) finish() error {
	if s.p == nil {
		return nil
	}
	p := s.p
	s.p = nil
	return p.Quit()
}

func (s *pop) abandon() {
	if s.p != nil {
		s.p.Close()
		s.p = nil
	}
}

// popLogin is connecting, logging in, quitting.
type popLogin struct{ pop }

func (s *popLogin) prepare(context.Context) error { return nil }

func (s *popLogin) operate(ctx context.Context) (done, error) {
	if err := s.login(ctx); err != nil {
		return done{}, err
	}
	return done{}, s.finish()
}

// popList is what a program that leaves mail on the server asks each time: STAT, LIST, UIDL.
type popList struct{ pop }

func (s *popList) prepare(ctx context.Context) error { return s.login(ctx) }

func (s *popList) operate(context.Context) (done, error) {
	if _, err := s.list(); err != nil {
		return done{}, err
	}
	seen := make(map[string]bool, len(s.sizes))
	err := s.p.List("UIDL", func(n int64, id []byte) error {
		if len(id) == 0 || seen[string(id)] {
			return fmt.Errorf("message %d has the id %q, which is empty or another's", n, id)
		}
		seen[string(id)] = true
		return nil
	})
	if err == nil && len(seen) != len(s.sizes) {
		err = fmt.Errorf("UIDL has %d messages, LIST %d", len(seen), len(s.sizes))
	}
	return done{messages: int64(len(seen))}, err
}

// popRetr fetches messages, some with each operation.
type popRetr struct{ pop }

func (s *popRetr) prepare(ctx context.Context) error {
	if err := s.login(ctx); err != nil {
		return err
	}
	if _, err := s.list(); err != nil {
		return err
	}
	if len(s.sizes) == 0 {
		return fmt.Errorf("%s has no messages", s.run.o.Users[s.number].Name)
	}
	return nil
}

func (s *popRetr) operate(context.Context) (d done, err error) {
	n := s.run.o.Batch
	if n == 0 {
		n = retrieveBatch
	}
	for range min(n, len(s.sizes)) {
		octets, err := s.p.Retrieve(int64(s.cursor) + 1)
		if err != nil {
			return d, err
		}
		if octets != s.sizes[s.cursor] {
			return d, fmt.Errorf("RETR %d: %d octets came, LIST says %d", s.cursor+1, octets, s.sizes[s.cursor])
		}
		s.cursor = (s.cursor + 1) % len(s.sizes)
		d.messages++
		d.octets += octets
	}
	return d, nil
}
