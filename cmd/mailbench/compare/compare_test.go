package compare

import (
	"math"
	"strings"
	"testing"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/work"
)

// outcome has Postrider at 1,000 and 1,200 a second beside a peer at 100 and 200 in what counts.
func outcome() *Outcome {
	run := func(system string, pair int, rate, cpu float64) Run {
		return Run{
			System: system, Sessions: 50, Pair: pair, Rate: rate, CPU: cpu, Memory: 64 << 20, Idle: 32 << 20,
			Load:   load.Result{Rate: rate * 1.5, Messages: 1000, Data: load.Latency{P50: 1, P99: 8}},
			Before: gauge.Probe{P50: 0.5}, After: gauge.Probe{P50: 0.7},
		}
	}
	noisy := run("Peer", 1, 9999, 1)
	noisy.Discarded = "the disk changed"
	failed := run("Peer", 2, 9999, 1)
	failed.Error = "it ended\nat once"
	return &Outcome{
		Systems: []string{"Postrider", "Peer"}, Sessions: []int{50}, Pairs: 2, Users: 40, Size: 10240, Duration: 10,
		Configs: map[string]string{"Peer": "listen = $DIR/x\n"},
		Runs: []Run{
			run("Postrider", 1, 1000, 0.3), noisy, run("Peer", 1, 100, 5),
			run("Postrider", 2, 1200, 0.5), failed, run("Peer", 2, 200, 0.2),
		},
		Traces: []Trace{{System: "Peer", Sessions: 50, Messages: 100, Calls: map[string]int{"fsync": 300, "fdatasync": 100}}},
	}
}

func TestMediansLeaveOutWhatWasDiscarded(t *testing.T) {
	o := outcome()
	r := o.summarize("Peer", 50)
	if r.rate != 150 || r.used != 2 || r.discarded != 1 || r.noisy != 0 || len(r.failed) != 1 || r.syncs != 4 {
		t.Errorf("%+v", r)
	}
	if ours := o.summarize("Postrider", 50); ours.rate != 1100 || !math.IsNaN(ours.syncs) || ours.cpu != 0.4 {
		t.Errorf("%+v", ours)
	}
	if p := o.paired("Postrider", "Peer", 50); len(p) != 2 || p[0] != 10 || p[1] != 6 {
		t.Errorf("pairs %v", p)
	}
}

func TestOnlyNoisyRunsAreUsedAndMarked(t *testing.T) {
	o := outcome()
	for i := range o.Runs {
		if o.Runs[i].System == "Postrider" {
			o.Runs[i].Discarded = "the disk changed"
		}
	}
	if r := o.summarize("Postrider", 50); r.noisy != 2 || r.used != 2 || r.discarded != 0 || r.rate != 1100 {
		t.Errorf("%+v", r)
	}
	if best, ok := o.best(50); !ok || math.Abs(o.ahead(best)-1100.0/150) > 1e-9 {
		t.Errorf("%v", o.ahead(best))
	}
	if text := o.Markdown("", "x"); !strings.Contains(text, "**all noisy**") {
		t.Error("the table does not say so")
	}
}

// Each run is measured by its own probe: a slow disk in one run must not excuse another.
func TestRepliesAreComparedWithTheProbesOfTheirOwnRun(t *testing.T) {
	run := func(pair int, p50, probe float64) Run {
		return Run{System: "Postrider", Sessions: 1, Pair: pair, Rate: 1, Load: load.Result{Data: load.Latency{P50: p50, P99: 4 * p50}},
			Before: gauge.Probe{P50: probe}, After: gauge.Probe{P50: probe}}
	}
	o := &Outcome{Systems: []string{"Postrider"}, Sessions: []int{1}, Pairs: 3, Runs: []Run{run(1, 6, 1), run(2, 1, 1), run(3, 9, 3)}}
	if r := o.summarize("Postrider", 1); r.p50Probes != 3 || r.p99Probes != 12 {
		t.Errorf("%+v", r)
	}
	if text := o.Markdown("", "x"); !strings.Contains(text, "≤ 2 × | 3.0 ×: **not met**") {
		t.Error(text)
	}
}

func TestReportTellsWhereWeLoseAndWhatIsNotMet(t *testing.T) {
	o := outcome()
	o.Runs[0].Lost = 3
	text := o.Markdown("A remark.", "mailbench compare")
	for _, want := range []string{
		"**A remark.**",
		"delivery beside the fastest peer, 50 sessions | ≥ 10 × | 8.0 ×: **not met**",
		"CPU a message, 50 sessions | ≤ 0.4 ms | 0.40 ms: met",
		"Postrider: 3 messages promised and not found, 0 found too often.",
		"Peer failed: it ended at once",
		"pair by pair: 10.00, 6.00 ×",
		"| 2 (+1 discarded), **1 failed** |",
		"listen = $DIR/x",
		"On no line of these tables.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	o.Runs[5].CPU, o.Runs[2].CPU = 0.2, 0.1
	if text := o.Markdown("", "x"); !strings.Contains(text, "- 50 sessions, CPU a message, ms: 0.40, beside 0.15 (Peer)") {
		t.Errorf("what is lost is not listed in:\n%s", text)
	}
}

func TestChartsShowTheMediansAndTheReportShowsThem(t *testing.T) {
	o := outcome()
	charts := o.Charts()
	if len(charts) != 2 || charts[0].Name != "rate" || charts[1].Name != "latency" {
		t.Fatalf("%+v", charts)
	}
	rows := charts[0].Groups[0].Rows
	if len(rows) != 2 || rows[0].Value != 1100 || !rows[0].Accent || rows[1].Value != 150 || rows[1].Accent {
		t.Errorf("%+v", rows)
	}
	if r := charts[1].Groups[0].Rows[0]; r.Value != 1 || r.To != 8 || !charts[1].Log {
		t.Errorf("%+v", r)
	}
	if strings.Contains(o.Markdown("", "x"), "![") {
		t.Error("plots that were not written are shown")
	}
	o.Plots = []string{"x-rate.svg", "x-latency.svg"}
	if text := o.Markdown("", "x"); !strings.Contains(text, "](x-rate.svg)\n") || !strings.Contains(text, "](x-latency.svg)\n") {
		t.Error(text)
	}
}

func TestIMAPIsComparedLineByLine(t *testing.T) {
	o := outcome()
	o.Mailbox = 10_000
	add := func(system, workload string, p50, cpuSeconds float64) {
		o.Readings = append(o.Readings, Reading{System: system, Workload: workload, Pair: 1, Result: work.Result{
			Operations: 100, Latency: load.Latency{P50: p50, P99: 3 * p50}, Server: &gauge.Usage{CPUSeconds: cpuSeconds}}})
	}
	add("Postrider", "fetch-flags", 1, 0.1)
	add("Postrider", "fetch-flags", 3, 0.3)
	add("Peer", "fetch-flags", 8, 0.1)
	add("Postrider", "store", 5, 0.1)
	add("Peer", "store", 2.5, 0.4)
	o.Readings = append(o.Readings, Reading{System: "Peer", Workload: "copy", Pair: 1, Error: "COPY: the server says\n\"NO\""})
	text := o.Markdown("", "x")
	for _, want := range []string{
		"## IMAP, a mailbox of 10,000 messages of 10,240 bytes, one session",
		"| FETCH 1:* FLAGS | 2.00 | 6.00 | 2.00 | 8.00 | 24.00 | 1.00 | 4.00 × |",
		"| STORE of 100 messages | 5.00 | 15.00 | 1.00 | 2.50 | 7.50 | 4.00 | 0.50 × |",
		"| SELECT | – | – | – | – | – | – | – |",
		"- IMAP FETCH 1:* FLAGS, CPU: 2.00 ms, beside 1.00 ms (Peer)",
		"- IMAP STORE of 100 messages, p50: 5.00 ms, beside 2.50 ms (Peer)",
		`Peer, copy, failed: COPY: the server says "NO"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "FLAGS, p50:") || strings.Contains(text, "STORE of 100 messages, CPU:") {
		t.Error("a line is told as lost that is not")
	}
}

func TestAColumnThatNobodyHasIsEmpty(t *testing.T) {
	o := outcome()
	o.Runs = nil
	text := o.Markdown("", "x")
	if strings.Contains(text, "NaN") || !strings.Contains(text, "| Peer | – |") {
		t.Error(text)
	}
}
