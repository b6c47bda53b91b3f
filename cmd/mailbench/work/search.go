package work

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/cmd/mailbench/client"
)

// search asks the same question again and again; all answers must have the same number of messages.
type search struct {
	*seat
	command string
	want    int64
	known   bool
}

func (s *search) prepare(ctx context.Context) error {
	if err := s.open(ctx, true); err != nil {
		return err
	}
	s.known = s.want > 0
	switch s.run.o.Workload {
	case "search-unseen":
		s.command = "SEARCH UNSEEN"
		n, err := s.m.Status(s.run.o.Mailbox, "UNSEEN")
		if err == nil && s.known && n != s.want {
			err = fmt.Errorf("STATUS counts %d unseen messages, %d were expected", n, s.want)
		}
		s.want, s.known = n, true
		return err
	case "search-subject":
		s.command = "SEARCH SUBJECT " + client.Quote(s.run.o.Query)
	default:
		s.command = "SEARCH TEXT " + client.Quote(s.run.o.Query)
	}
	return nil
}

func (s *search) operate(context.Context) (done, error) {
	var found int64
	answered := false
	var last uint32
	_, err := s.m.Do(s.command, func(a client.Answer) error {
		word, rest := a.Word()
		if !client.Is(word, "SEARCH") {
			return nil
		}
		answered = true
		return client.Numbers(rest, func(n uint32) error {
			if n == 0 || n > s.exists || n == last {
				return fmt.Errorf("message %d of %d was found", n, s.exists)
			}
			last = n
			found++
			return nil
		})
	})
	switch {
	case err != nil:
	case !answered:
		err = errors.New("SEARCH: no SEARCH in the answer")
	case s.known && found != s.want:
		err = fmt.Errorf("%s: %d messages found, %d expected", s.command, found, s.want)
	}
	s.want, s.known = found, true
	return done{messages: found}, err
}
