package queue

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/state/db/dbtest"
)

// rss is the memory of this process, MiB.
func rss(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(f[1])
			return float64(kib) / 1024
		}
	}
	return 0
}

// BenchmarkDeferredRows starts a queue over QUEUE_ROWS deferred jobs (default 20,000) to a thousand sites, all of them due, and
// measures: until Start returns, until the first and the thousandth attempt, the memory beside what the process had, the time
// of Stats, of a walk by Select, and of holding a hundredth by a filter.
func BenchmarkDeferredRows(b *testing.B) {
	n, _ := strconv.Atoi(os.Getenv("QUEUE_ROWS"))
	if n == 0 {
		n = 20_000
	}
	w := newWorld(nil)
	w.db = dbtest.OpenFile(b)
	stored(b, w.db, w.ids, n, time.Now().Add(-time.Duration(n)*time.Millisecond), func(i int) string { return fmt.Sprintf("d%d.example", i%1000) })
	runtime.GC()
	before := rss(b)
	for b.Loop() {
		var tried atomic.Int64
		began := time.Now()
		at := func(n int64) time.Duration {
			for tried.Load() < n {
				time.Sleep(time.Millisecond)
			}
			return time.Since(began)
		}
		q := New(Options{DB: w.db, Journal: w, Ledger: w, Reporter: w, Policy: testPolicy(), Lanes: map[flow.Transport]Lane{
			flow.SMTP: {Batch: 1, Workers: 100, Agent: agentFunc(func(_ context.Context, tasks []*Task) [][]flow.Outcome {
				tried.Add(1)
				time.Sleep(50 * time.Millisecond)
				return [][]flow.Outcome{{defer4(tasks[0], &tasks[0].Recipients[0])}}
			})}}})
		if err := q.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/start")
		b.ReportMetric(at(1).Seconds(), "s/first")
		b.ReportMetric(at(min(1000, int64(n))).Seconds(), "s/thousandth")
		began = time.Now()
		if s, err := q.Stats(b.Context()); err != nil || s.Total.Jobs < n-1 {
			b.Error(s.Total, err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/stats")
		began = time.Now()
		listed := 0
		if err := q.Select(b.Context(), Filter{}, func(Info) error { listed++; return nil }); err != nil || listed < n-1 {
			b.Error(listed, err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/list")
		began = time.Now()
		if _, err := q.Change(b.Context(), Filter{Recipient: "u*00@*"}, Change{Action: ActHold}); err != nil {
			b.Error(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/hold")
		b.ReportMetric(rss(b)-before, "MiB")
		q.mu.Lock()
		b.ReportMetric(float64(len(q.jobs)), "jobs-in-memory")
		q.mu.Unlock()
		if err := q.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
