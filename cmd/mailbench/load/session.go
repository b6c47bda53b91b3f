package load

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

// session is one closed loop.
type session struct {
	*run
	number int
	msgs   []*message // one for each size
	k      *conn
	sent   int   // messages over this connection
	taken  []int // recipients that RCPT accepted, as indices
}

func (s *session) loop(ctx context.Context) {
	defer func() {
		s.rec.ended(time.Since(s.start)) // goodbyes are no part of the load
		if s.k != nil {
			s.k.expect("QUIT\r\n", 221)
			s.k.close()
		}
	}()
	for ctx.Err() == nil {
		n, ok := s.ticket()
		if !ok {
			return
		}
		err := s.one(ctx, n)
		if err == nil {
			continue
		}
		s.k = nil
		if errors.Is(err, errClosing) {
			continue
		}
		if ctx.Err() == nil {
			s.rec.refuse(describe(err))
			s.pause(ctx)
		}
	}
}

// one sends one message. An error means that the connection is gone; refusals are counted, not returned.
func (s *session) one(ctx context.Context, n int64) error {
	if s.k != nil && s.full() {
		s.k.expect("QUIT\r\n", 221) // the connection is done with either way
		s.k.close()
		s.k = nil
	}
	if s.k == nil {
		k, err := dial(ctx, &s.cfg)
		if err != nil {
			return err
		}
		s.k, s.sent = k, 0
		s.rec.connections.Add(1)
	}
	m := s.msgs[n%int64(len(s.msgs))]
	if s.cfg.Message != nil {
		m = &message{head: append(s.cfg.Message(n), ".\r\n"...)}
	} else {
		m.next(s.id, s.number, n)
	}
	s.sent++
	if err := s.transaction(n, m); err != nil {
		s.k.close()
		return err
	}
	return nil
}

// full tells whether this connection has carried what it may.
func (s *session) full() bool {
	return s.cfg.PerConnection > 0 && s.sent >= s.cfg.PerConnection || s.k.mailMax > 0 && s.sent >= s.k.mailMax
}

// errClosing says that the server said 421 and has closed the connection (RFC 5321 §3.8): that is counted by then, and
// a new connection may be tried at once.
var errClosing = errors.New("the server closes the connection")

func (s *session) transaction(n int64, m *message) error {
	begin := time.Now()
	ready, err := s.envelope(n)
	if err != nil {
		return err
	}
	if !ready {
		return s.k.expect("RSET\r\n", 250)
	}
	data := time.Now()
	if len(s.taken) == 0 { // 354 although nobody is left (RFC 2920 §3.1 allows it): end the data at once
		return s.noRecipients()
	}
	if err := s.k.send(m.head); err != nil {
		return err
	}
	if len(m.tail) > 0 {
		if err := s.k.send(m.tail); err != nil {
			return err
		}
	}
	return s.answers(n, begin, data)
}

// envelope sends MAIL, RCPT and DATA, in one write where the server lets us (RFC 2920 §3.1). ready says that the
// server waits for the message.
func (s *session) envelope(n int64) (ready bool, err error) {
	s.taken = s.taken[:0]
	refused := false
	step := func(last bool, command ...string) (bool, error) {
		for _, c := range command {
			s.k.out = append(s.k.out, c...)
		}
		s.k.out = append(s.k.out, "\r\n"...)
		if s.k.pipelining {
			if last {
				return true, s.k.flush()
			}
			return true, nil
		}
		if err := s.k.flush(); err != nil {
			return false, err
		}
		r, err := s.k.reply(false)
		if good := s.good(r, last); good || r.code != 421 {
			return good, err
		}
		return false, errClosing
	}
	mail, err := step(false, "MAIL FROM:<", s.cfg.From, ">")
	if err != nil || !mail {
		return false, err
	}
	for i := range s.cfg.PerMessage {
		rcpt := s.recipient(n, i)
		ok, err := step(false, "RCPT TO:<", s.cfg.Recipients[rcpt], ">")
		if err != nil {
			return false, err
		}
		if ok && !s.k.pipelining {
			s.taken = append(s.taken, rcpt)
		}
	}
	if !s.k.pipelining && len(s.taken) == 0 {
		return false, nil
	}
	ready, err = step(true, "DATA")
	if err != nil || !s.k.pipelining {
		return ready, err
	}
	for i := range s.cfg.PerMessage + 2 { // the replies to all that was sent at once
		r, err := s.k.reply(false)
		if err != nil {
			return false, err
		}
		if r.code == 421 {
			s.rec.refuse(r.words())
			return false, errClosing
		}
		ready = r.code == 354
		if i > 0 && i <= s.cfg.PerMessage && r.ok() {
			s.taken = append(s.taken, s.recipient(n, i-1))
		} else if !refused && !r.ok() && !ready { // what follows from the first refusal is not told again
			refused = true
			s.rec.refuse(r.words())
		}
	}
	return ready, nil
}

func (s *session) good(r reply, data bool) bool {
	if r.ok() || (data && r.code == 354) {
		return true
	}
	if r.code != 0 {
		s.rec.refuse(r.words())
	}
	return false
}

// answers reads the reply to the end of data; LMTP gives one for each recipient that RCPT accepted (RFC 2033 §4.2).
func (s *session) answers(n int64, begin, data time.Time) error {
	replies := 1
	if s.cfg.LMTP {
		replies = len(s.taken)
	}
	accepted := false
	for i := range replies {
		r, err := s.k.reply(false)
		if err != nil {
			s.rec.uncertain.Add(int64(len(s.taken) - i))
			return err
		}
		if !s.good(r, false) {
			if r.code == 421 {
				return errClosing
			}
			continue
		}
		accepted = true
		if s.cfg.LMTP {
			s.promised(n, s.taken[i], data)
			continue
		}
		for _, rcpt := range s.taken {
			s.promised(n, rcpt, data)
		}
	}
	if accepted {
		now := time.Now()
		s.rec.data.Add(now.Sub(data))
		s.rec.transaction.Add(now.Sub(begin))
		s.rec.messages.Add(1)
	}
	return nil
}

func (s *session) promised(n int64, rcpt int, begun time.Time) {
	s.rec.accepted[rcpt].Add(1)
	if s.cfg.Sent != nil {
		s.cfg.Sent(Sent{Number: n, Recipient: rcpt, Begun: begun})
	}
}

func (s *session) noRecipients() error {
	if err := s.k.send([]byte(".\r\n")); err != nil {
		return err
	}
	if s.cfg.LMTP {
		return nil // one reply for each accepted recipient is none
	}
	_, err := s.k.reply(false)
	return err
}

// recipient returns the i-th recipient of message n: all are used in turn.
func (s *session) recipient(n int64, i int) int {
	return int((n*int64(s.cfg.PerMessage) + int64(i)) % int64(len(s.cfg.Recipients)))
}

// pause keeps a session whose server has gone from trying in a tight loop; a little chance keeps sessions apart.
func (s *session) pause(ctx context.Context) {
	d := s.cfg.reconnectInterval
	t := time.NewTimer(d + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// describe names an error of the connection in words that are the same for each of its kind: no ports, no addresses.
func describe(err error) string {
	var words refusal
	switch {
	case errors.As(err, &words):
		return words.Error()
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no reply in time"
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
