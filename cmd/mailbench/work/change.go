package work

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/cmd/mailbench/client"
)

const changeBatch = 100 // messages of one STORE or COPY, if not said otherwise

// store sets and removes \Flagged on the session's part of the mailbox.
type store struct {
	*seat
	low, high   uint32
	first, last uint32
	set         bool
	told        []bool
}

func (s *store) prepare(ctx context.Context) error {
	err := s.open(ctx, false)
	if err == nil {
		s.low, s.high, err = s.part()
	}
	if err == nil { // so that each operation changes something
		_, err = s.m.Do(fmt.Sprintf("STORE %d:%d -FLAGS.SILENT (\\Flagged)", s.low, s.high), nil)
	}
	return err
}

func (s *store) operate(context.Context) (done, error) {
	sign := "-"
	if s.set = !s.set; s.set {
		s.first, s.last = s.window(s.batch(changeBatch), s.low, s.high)
		sign = "+"
	}
	return s.store(sign)
}

func (s *store) store(sign string) (d done, err error) {
	s.told = cleared(s.told, s.last-s.first+1)
	_, err = s.m.Do(fmt.Sprintf("STORE %d:%d %sFLAGS (\\Flagged)", s.first, s.last, sign), func(a client.Answer) error {
		n, word, rest, ok := a.Numbered()
		if !ok || !client.Is(word, "FETCH") || n < s.first || n > s.last || !client.Has(rest, "FLAGS") {
			return nil
		}
		if client.Has(rest, `\Flagged`) != (sign == "+") {
			return fmt.Errorf("message %d: %q after %sFLAGS (\\Flagged)", n, rest, sign)
		}
		if !s.told[n-s.first] {
			s.told[n-s.first] = true
			d.messages++
		}
		return nil
	})
	if want := int64(s.last - s.first + 1); err == nil && d.messages != want {
		err = fmt.Errorf("STORE %d:%d: %d messages answered, %d were asked for", s.first, s.last, d.messages, want)
	}
	return d, err
}

func (s *store) finish() error {
	var err error
	if s.set {
		_, err = s.store("-")
	}
	return errors.Join(err, s.seat.finish())
}

// appending adds messages.
type appending struct {
	*seat
	corpus *Corpus
	next   int64
}

func (a *appending) prepare(ctx context.Context) error {
	if err := a.login(ctx); err != nil {
		return err
	}
	a.corpus = NewCorpus(uint64(a.number)+1, a.run.o.Size)
	return needMulti(a.m, a.batch(1))
}

// needMulti makes sure that the server takes several messages in one APPEND, if that is wanted.
func needMulti(m *client.IMAP, batch uint32) error {
	if batch <= 1 {
		return nil
	}
	can, err := m.Can("MULTIAPPEND")
	if err == nil && !can {
		err = errors.New("the server has no MULTIAPPEND (RFC 3502); use --batch 1")
	}
	return err
}

func (a *appending) operate(context.Context) (d done, err error) {
	batch := make([]client.Message, a.batch(1))
	for i := range batch {
		batch[i] = a.corpus.Message(a.next)
		a.next++
		d.octets += int64(len(batch[i].Bytes))
	}
	d.messages = int64(len(batch))
	return d, a.m.Append(a.run.o.Mailbox, batch...)
}

// copying copies the mailbox, part by part, into another.
type copying struct{ *seat }

func (c *copying) prepare(ctx context.Context) error { return c.open(ctx, true) }

func (c *copying) operate(context.Context) (done, error) {
	low, high := c.window(c.batch(changeBatch), 1, c.exists)
	_, err := c.m.Do(fmt.Sprintf("COPY %d:%d %s", low, high, client.Quote(c.run.o.To)), nil)
	return done{messages: int64(high - low + 1)}, err
}
