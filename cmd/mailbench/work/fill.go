package work

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
)

// fillStall is how long a mailbox may stay as it is although messages for it were taken.
const fillStall = 30 * time.Second

// FillOptions say which mailbox to make.
type FillOptions struct {
	Target   client.Target // IMAP: for APPEND, and in any case to count
	User     User
	Mailbox  string // INBOX; LMTP delivers there and nowhere else
	Messages int64
	Size     int
	Batch    int // messages of one APPEND, where the server has MULTIAPPEND
	Sessions int
	Seed     uint64

	ServerPIDs []int // processes whose CPU time and memory are measured

	LMTP string // deliver here instead of APPEND
	Rcpt string // to whom
}

// Filled is what came of it.
type Filled struct {
	Via       string  `json:"via"`
	Messages  int64   `json:"messages"`
	Octets    int64   `json:"octets"`
	Seconds   float64 `json:"seconds"`
	Rate      float64 `json:"messages_per_second"`
	Total     int64   `json:"mailbox_messages"` // that the mailbox has now
	InSubject int64   `json:"quokka_in_subject"`
	InText    int64   `json:"axolotl_in_text"`

	User   string       `json:"user"`
	Server *gauge.Usage `json:"server,omitempty"` // of FillOptions.ServerPIDs
}

// Check tells what is wrong with the options; Fill begins with it.
func (o *FillOptions) Check() error {
	switch {
	case o.Messages < 1:
		return errors.New("how many messages?")
	case o.Size < load.MinSize || o.Size > load.MaxSize:
		return fmt.Errorf("size: %d is not between %d and %d bytes", o.Size, load.MinSize, load.MaxSize)
	case o.Sessions < 1 || o.Sessions > maxSessions:
		return fmt.Errorf("sessions: %d is not between 1 and %d", o.Sessions, maxSessions)
	case o.Batch < 1 || o.Batch > maxBatch:
		return fmt.Errorf("batch: %d is not between 1 and %d", o.Batch, maxBatch)
	case o.LMTP != "" && o.Mailbox != "INBOX":
		return errors.New("LMTP delivers into INBOX, not into another mailbox")
	}
	return checkNames([]User{o.User}, o.Mailbox, o.Rcpt)
}

// Fill puts a corpus of messages into a mailbox, and counts it before and after.
func Fill(ctx context.Context, o FillOptions, progress func(load.Snapshot)) (Filled, error) {
	if err := o.Check(); err != nil {
		return Filled{}, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	m, err := dialIMAP(ctx, o.Target, o.User)
	if err != nil {
		return Filled{}, err
	}
	defer m.Close()
	if _, err := create(m, o.Mailbox); err != nil && o.Mailbox != "INBOX" {
		return Filled{}, err
	}
	before, err := m.Status(o.Mailbox, "MESSAGES")
	if err != nil {
		return Filled{}, err
	}
	f := &filler{o: o, fail: fail, corpus: NewCorpus(o.Seed, o.Size)}
	server, err := gauge.Watch(o.ServerPIDs)
	if err != nil {
		return Filled{}, err
	}
	start := time.Now()
	stop := load.Every(func(elapsed time.Duration) load.Snapshot {
		return load.Snapshot{Elapsed: elapsed, Messages: f.sent.Load(), P50: f.latency.Quantile(0.5), P99: f.latency.Quantile(0.99)}
	}, progress)
	via := "APPEND"
	if o.LMTP != "" {
		via = "LMTP"
		err = f.lmtp(ctx)
	} else {
		err = f.append(ctx, m)
	}
	var after int64
	if err == nil {
		after, err = f.settle(ctx, m, before+o.Messages)
	}
	stop()
	took := time.Since(start)
	usage, serverErr := server.Stop()
	if err := errors.Join(err, serverErr); err != nil {
		return Filled{}, err
	}
	if after-before != o.Messages {
		err = fmt.Errorf("%d messages were taken, but %s has grown by %d", o.Messages, o.Mailbox, after-before)
	}
	return Filled{Via: via, Messages: o.Messages, Octets: f.octets.Load(), Seconds: took.Seconds(), Rate: float64(o.Messages) / took.Seconds(),
		Total: after, InSubject: InSubject(o.Messages), InText: InText(o.Messages),
		User: o.User.Name, Server: usage}, err
}

// settle waits until the mailbox has all: a server may answer LMTP when a message is safe, and deliver a moment later.
// Appended messages are there at once.
func (f *filler) settle(ctx context.Context, m *client.IMAP, want int64) (have int64, err error) {
	for grew := time.Now(); ; {
		n, err := m.Status(f.o.Mailbox, "MESSAGES")
		if err != nil || n >= want || f.o.LMTP == "" || time.Since(grew) > fillStall {
			return n, err
		}
		if n > have {
			have, grew = n, time.Now()
		}
		select {
		case <-ctx.Done():
			return n, context.Cause(ctx)
		case <-time.After(waitStep):
		}
	}
}

// filler is one run of Fill.
type filler struct {
	o            FillOptions
	fail         context.CancelCauseFunc
	corpus       *Corpus
	next         atomic.Int64
	sent, octets atomic.Int64
	latency      load.Histogram
}

// append fills by APPEND, over several connections; the order of messages is then only roughly that of the corpus.
func (f *filler) append(ctx context.Context, first *client.IMAP) error {
	multi, err := first.Can("MULTIAPPEND")
	if err != nil {
		return err
	}
	batch := int64(f.o.Batch)
	if !multi {
		batch = 1
	}
	return each(ctx, f.fail, f.o.Sessions, f.o.Sessions, func(ctx context.Context, _ int) error {
		m, err := dialIMAP(ctx, f.o.Target, f.o.User)
		if err != nil {
			return err
		}
		defer m.Close()
		for {
			begin := f.next.Add(batch) - batch
			if begin >= f.o.Messages || ctx.Err() != nil {
				return m.Logout()
			}
			if err := f.one(m, begin, min(begin+batch, f.o.Messages)); err != nil {
				return err
			}
		}
	})
}

func (f *filler) one(m *client.IMAP, begin, end int64) error {
	var messages []client.Message
	var octets int64
	for n := begin; n < end; n++ {
		messages = append(messages, f.corpus.Message(n))
		octets += int64(len(messages[len(messages)-1].Bytes))
	}
	start := time.Now()
	if err := m.Append(f.o.Mailbox, messages...); err != nil {
		return err
	}
	f.latency.Add(time.Since(start))
	f.sent.Add(end - begin)
	f.octets.Add(octets)
	return nil
}

// lmtp fills by delivery.
func (f *filler) lmtp(ctx context.Context) error {
	rcpt := f.o.Rcpt
	if rcpt == "" {
		rcpt = f.o.User.Name
	}
	res, err := load.Run(ctx, load.Config{
		Addr: f.o.LMTP, LMTP: true, Sessions: f.o.Sessions, Messages: f.o.Messages, Sizes: []int{f.o.Size}, From: "bench@mailbench.invalid",
		Recipients: []string{rcpt}, ReplyTimeout: f.o.Target.Timeout,
		Message: func(n int64) []byte {
			b := f.corpus.Message(n).Bytes
			f.octets.Add(int64(len(b)))
			return b
		},
		Sent: func(load.Sent) { f.sent.Add(1) },
	}, nil)
	if err == nil && res.Messages != f.o.Messages {
		err = fmt.Errorf("LMTP: %d of %d messages were taken: %v", res.Messages, f.o.Messages, res.Errors)
	}
	return err
}
