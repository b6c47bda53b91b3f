package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/peer"
	"github.com/postrider/postrider/cmd/mailbench/work"
)

// What is read, and how it is made.
const (
	readMailbox = "mailbench-reading"
	readBatch   = 50 // messages of one APPEND while the mailbox is filled
	appendBatch = 1  // and of the append workload
)

// readings are the workloads, in the order of the table. POP3 is not among them: the peers' configurations have none.
func readings() []string {
	return []string{"login", "select", "fetch-flags", "fetch-envelope", "fetch-structure", "fetch-bodies", "search-unseen",
		"search-subject", "search-text", "store", "append", "copy"}
}

// Reading is one workload of one system in one turn.
type Reading struct {
	System   string      `json:"system"`
	Workload string      `json:"workload"`
	Pair     int         `json:"pair"`
	Result   work.Result `json:"result"`
	Error    string      `json:"error,omitempty"`
}

// read lets all systems that have an IMAP server of their own kind have their turns.
func (o *Options) read(ctx context.Context, out *Outcome) {
	for pair := 1; pair <= o.Pairs; pair++ {
		for _, s := range o.Readers {
			if err := o.readTurn(ctx, out, s, pair); err != nil && ctx.Err() == nil {
				out.Readings = append(out.Readings, Reading{System: s.Name(), Pair: pair, Error: err.Error()})
				o.Say(fmt.Sprintf("%-43s IMAP failed: %v", s.Name(), err))
			}
			if ctx.Err() != nil {
				out.Cut = fmt.Sprintf("ended early (%v), in IMAP of %s", context.Cause(ctx), s.Name())
				return
			}
		}
	}
}

// readTurn starts a system, fills its mailbox in the first turn, and does all workloads.
func (o *Options) readTurn(ctx context.Context, out *Outcome, s peer.System, pair int) (err error) {
	if err := s.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	a := s.IMAP()
	user := work.User{Name: peer.Address(1), Password: a.Password(1)}
	target := client.Target{Addr: a.Addr, TLS: a.TLS, Implicit: a.TLS != nil}
	if pair == 1 {
		if _, err := work.Fill(ctx, work.FillOptions{Target: target, User: user, Mailbox: readMailbox, Messages: int64(o.Mailbox), Size: o.Size,
			Batch: readBatch, Sessions: 1, Seed: 1}, nil); err != nil {
			return fmt.Errorf("filling the mailbox: %w", err)
		}
	}
	for _, name := range readings() {
		r := Reading{System: s.Name(), Workload: name, Pair: pair}
		if r.Result, err = o.readOne(ctx, s, work.Options{Target: target, Users: []work.User{user}, Workload: name}); err != nil {
			r.Error = err.Error()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		out.Readings = append(out.Readings, r)
		o.Say(r.line())
	}
	return nil
}

// readOne does a workload once to warm caches, and then for the time.
func (o *Options) readOne(ctx context.Context, s peer.System, w work.Options) (work.Result, error) {
	w.Protocol, w.Sessions, w.Size, w.Mailbox = "imap", 1, o.Size, readMailbox
	switch w.Workload {
	case "append":
		w.Batch, w.Mailbox = appendBatch, ""
	case "search-subject":
		w.Expect = work.InSubject(int64(o.Mailbox))
	case "search-text":
		w.Expect = work.InText(int64(o.Mailbox))
	}
	warm := w
	warm.Operations = 1
	if _, err := work.Run(ctx, warm, nil); err != nil {
		return work.Result{}, err
	}
	w.Duration, w.ServerPIDs = o.ReadTime, s.Roots()
	label := fmt.Sprintf("%s, IMAP %s: ", s.Name(), w.Workload)
	return work.Run(ctx, w, func(p load.Snapshot) { o.Show(label, p) })
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
		return fmt.Sprintf("%-43s IMAP %-15s failed: %s", r.System, r.Workload, r.Error)
	}
	return fmt.Sprintf("%-43s IMAP %-15s %8.1f/s  p50 %8.2f p99 %8.2f ms  %7.2f ms CPU", r.System, r.Workload, r.Result.Rate,
		r.Result.Latency.P50, r.Result.Latency.P99, r.cpu())
}

// readRow is the medians of one workload of one system; used is 0 where there is none.
type readRow struct {
	used          int
	p50, p99, cpu float64
	failed        []string
}

func (o *Outcome) readRow(system, workload string) (row readRow) {
	var p50, p99, cpu []float64
	for _, r := range o.Readings {
		switch {
		case r.System != system || r.Workload != workload:
		case r.Error != "":
			row.failed = append(row.failed, r.Error)
		default:
			p50, p99, cpu = append(p50, r.Result.Latency.P50), append(p99, r.Result.Latency.P99), append(cpu, r.cpu())
		}
	}
	row.used, row.p50, row.p99, row.cpu = len(p50), middle(p50), middle(p99), middle(cpu)
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

// defaultReadTime is for each workload in each turn.
const defaultReadTime = 2 * time.Second
