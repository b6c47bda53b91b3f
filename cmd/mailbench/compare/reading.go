package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/peer"
	"github.com/postrider/postrider/cmd/mailbench/work"
)

// What is read, and how it is made.
const (
	readMailbox  = "mailbench-reading"
	readBatch    = 50   // messages of one APPEND while the mailbox is filled
	appendBatch  = 1    // and of the append workload
	popMessages  = 1000 // of the INBOX that is read by POP3: few leave more on a server
	slowWhole    = 300  // ms: what takes a peer longer shall take us half of that
	slowMessage  = 1    // ms for each message: the same
	goalSlow     = 2.0  // × the fastest peer, there
	goalFullText = 50.0 // × in a search of texts
)

// workload is one line of the table.
type workload struct {
	name     string // in figures
	protocol string
	does     string // as work.Options.Workload
	text     string
}

// readings are the workloads, in the order of the table.
func readings() []workload {
	return []workload{
		{"login", "imap", "login", "connect, LOGIN, LOGOUT"},
		{"select", "imap", "select", "SELECT"},
		{"fetch-flags", "imap", "fetch-flags", "FETCH 1:* FLAGS"},
		{"fetch-envelope", "imap", "fetch-envelope", "FETCH 1:* ENVELOPE"},
		{"fetch-structure", "imap", "fetch-structure", "FETCH 1:* BODYSTRUCTURE"},
		{"fetch-bodies", "imap", "fetch-bodies", "FETCH of 1,000 whole messages"},
		{"search-unseen", "imap", "search-unseen", "SEARCH UNSEEN"},
		{"search-subject", "imap", "search-subject", "SEARCH SUBJECT (1 % hits)"},
		{fullText, "imap", "search-text", "SEARCH TEXT (1 % hits)"},
		{"store", "imap", "store", "STORE of 100 messages"},
		{"append", "imap", "append", "APPEND of one message"},
		{"copy", "imap", "copy", "COPY of 100 messages"},
		{"pop3-login", "pop3", "login", "connect, PASS, QUIT"},
		{"pop3-list", "pop3", "list", "STAT, LIST, UIDL"},
		{"pop3-retr", "pop3", "retr", "RETR of 10 messages"},
	}
}

const fullText = "search-text"

// Reading is one workload of one system in one turn.
type Reading struct {
	System    string      `json:"system"`
	Workload  string      `json:"workload"`
	Pair      int         `json:"pair"`
	Try       int         `json:"try"` // of the turn, from 0
	Result    work.Result `json:"result"`
	Before    gauge.Probe `json:"disk_before"` // of the whole turn
	After     gauge.Probe `json:"disk_after"`
	Discarded string      `json:"discarded,omitempty"`
	Error     string      `json:"error,omitempty"`
}

// read lets all systems that have an IMAP server of their own kind have their turns.
func (o *Options) read(ctx context.Context, out *Outcome) {
	for pair := 1; pair <= o.rounds() && o.Mailbox > 0; pair++ {
		for _, s := range o.Readers {
			for try := out.readTries(s.Name(), pair); try <= o.Retries; try++ {
				list, err := o.readTurn(ctx, s, Reading{System: s.Name(), Pair: pair, Try: try})
				out.Configs[s.Name()] = s.Config()
				if ctx.Err() != nil {
					out.Cut = fmt.Sprintf("ended early (%v), in reading of %s", context.Cause(ctx), s.Name())
					return
				}
				if err != nil {
					list = append(list, Reading{System: s.Name(), Pair: pair, Try: try, Error: err.Error()})
					o.Say(fmt.Sprintf("%-43s reading failed: %v", s.Name(), err))
				}
				out.Readings = append(out.Readings, list...)
				o.save(out)
				if err != nil || list[0].Discarded == "" {
					break
				}
				o.Say(fmt.Sprintf("%-43s reading discarded: %s", s.Name(), list[0].Discarded))
			}
		}
	}
}

// readTurn starts a system, fills its mailboxes if that has not been done, and does all workloads.
func (o *Options) readTurn(ctx context.Context, s peer.System, turn Reading) (list []Reading, err error) {
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if !o.filled[s.Name()] {
		if err := o.fill(ctx, s); err != nil {
			return nil, fmt.Errorf("filling the mailbox: %w", err)
		}
		o.filled[s.Name()] = true
	}
	before, err := gauge.ProbeDisk(o.Dir, o.Size, probes)
	if err != nil {
		return nil, err
	}
	for _, w := range readings() {
		r := turn
		r.Workload = w.name
		if r.Result, err = o.readOne(ctx, s, w); err != nil {
			r.Error = err.Error()
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		list = append(list, r)
		o.Say(r.line())
	}
	after, err := gauge.ProbeDisk(o.Dir, o.Size, probes)
	if err != nil {
		return list, err
	}
	for i := range list {
		list[i].Before, list[i].After, list[i].Discarded = before, after, noise("", before, after)
	}
	return list, nil
}

// fill makes the mailbox that IMAP reads, of the first user, and the INBOX that POP3 reads, of a user who gets no other
// mail.
func (o *Options) fill(ctx context.Context, s peer.System) error {
	for _, f := range []struct {
		user     int
		mailbox  string
		messages int
	}{{1, readMailbox, o.Mailbox}, {o.Users + 1, "INBOX", min(o.Mailbox, popMessages)}} {
		target, user := who(s.IMAP(), f.user)
		label := s.Name() + ", filling: "
		_, err := work.Fill(ctx, work.FillOptions{Target: target, User: user, Mailbox: f.mailbox, Messages: int64(f.messages), Size: o.Size,
			Batch: readBatch, Sessions: 1, Seed: 1}, func(p load.Snapshot) { o.Show(label, p) })
		if err != nil {
			return err
		}
	}
	return nil
}

func who(a peer.Access, user int) (client.Target, work.User) {
	return client.Target{Addr: a.Addr, TLS: a.TLS, Implicit: a.TLS != nil}, work.User{Name: peer.Address(user), Password: a.Password(user)}
}

// readOne does a workload once to warm caches, and then for the time.
func (o *Options) readOne(ctx context.Context, s peer.System, w workload) (work.Result, error) {
	options := work.Options{Protocol: w.protocol, Workload: w.does, Sessions: 1, Size: o.Size, Mailbox: readMailbox}
	access, number := s.IMAP(), 1
	if w.protocol == "pop3" {
		access, number = s.POP3(), o.Users+1
	}
	target, user := who(access, number)
	options.Target, options.Users = target, []work.User{user}
	switch w.name {
	case "append":
		options.Batch, options.Mailbox = appendBatch, ""
	case "search-subject":
		options.Expect = work.InSubject(int64(o.Mailbox))
	case fullText:
		options.Expect = work.InText(int64(o.Mailbox))
	}
	warm := options
	warm.Operations = 1
	if _, err := work.Run(ctx, warm, nil); err != nil {
		return work.Result{}, err
	}
	options.Duration, options.ServerPIDs = o.ReadTime, s.Roots()
	label := fmt.Sprintf("%s, %s: ", s.Name(), w.name)
	return work.Run(ctx, options, func(p load.Snapshot) { o.Show(label, p) })
}

// cpu is milliseconds for one operation.
func (r *Reading) cpu() float64 {
	if r.Result.Server == nil || r.Result.Operations == 0 {
		return 0
	}
	return r.Result.Server.CPUSeconds * 1000 / float64(r.Result.Operations)
}

func (r *Reading) line() string {
	if r.Error != "" {
		return fmt.Sprintf("%-43s %-15s failed: %s", r.System, r.Workload, r.Error)
	}
	return fmt.Sprintf("%-43s %-15s %8.1f/s  p50 %8.2f p99 %8.2f ms  %7.2f ms CPU", r.System, r.Workload, r.Result.Rate,
		r.Result.Latency.P50, r.Result.Latency.P99, r.cpu())
}

// readRow is the medians of one workload of one system; used is 0 where there is none.
type readRow struct {
	used, discarded, noisy int
	p50, p99, cpu          float64 // ms, of one operation
	messages               float64 // that an operation is about
	failed                 int
}

// readRow uses noisy turns only where there is nothing else.
func (o *Outcome) readRow(system, workload string) (row readRow) {
	var good, noisy []*Reading
	for i := range o.Readings {
		r := &o.Readings[i]
		switch {
		case r.System != system || r.Workload != workload:
		case r.Error != "":
			row.failed++
		case r.Discarded != "":
			noisy = append(noisy, r)
		default:
			good = append(good, r)
		}
	}
	row.discarded = len(noisy)
	if len(good) == 0 {
		good, row.noisy, row.discarded = noisy, len(noisy), 0
	}
	row.used = len(good)
	of := func(f func(*Reading) float64) float64 {
		v := make([]float64, len(good))
		for i, r := range good {
			v[i] = f(r)
		}
		return middle(v)
	}
	row.p50 = of(func(r *Reading) float64 { return r.Result.Latency.P50 })
	row.p99 = of(func(r *Reading) float64 { return r.Result.Latency.P99 })
	row.cpu = of((*Reading).cpu)
	row.messages = of(func(r *Reading) float64 { return float64(r.Result.Messages) / float64(max(r.Result.Operations, 1)) })
	return row
}

// middle is the median, and 0 of nothing.
func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
