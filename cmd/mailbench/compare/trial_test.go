package compare

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/peer"
	"github.com/postrider/postrider/cmd/mailbench/work"
)

// tried adds one trial of every kind for both systems; ours is worse where the kind is a crowd.
func tried() *Outcome {
	o := outcome()
	o.Crowd, o.BigSize, o.Mailbox = 200, 50<<20, 10_000
	for i, s := range o.Systems {
		n := int64(i)
		relay := &work.Relayed{Rate: 1000 - 500*float64(n), Through: load.Latency{P50: 2 + float64(n), P99: 9 + float64(n)}, Source: load.Result{Data: load.Latency{P50: 1, P99: 2}}}
		crowd := &work.Crowd{Rate: 100 + 100*float64(n), Login: load.Latency{P50: 3, P99: 4}, PerConn: 50<<10 - n<<14, PerConnRSS: 60 << 10}
		big := &Big{Run: Run{Rate: 4 - float64(n), Load: load.Result{Sizes: []int{50 << 20}, Data: load.Latency{P50: 100, P99: 200}}}, InFlight: 3 << 19}
		o.Trials = append(o.Trials,
			Trial{System: s, Kind: kindRelay, Pair: 1, Relay: relay, CPU: 1},
			Trial{System: s, Kind: kindIdleIMAP, Pair: 1, Crowd: crowd, CPU: 1},
			Trial{System: s, Kind: kindBig, Pair: 1, Big: big, CPU: 1})
	}
	return o
}

func TestTrialsHaveTablesGoalsAndPlacesWhereWeAreBehind(t *testing.T) {
	o := tried()
	o.Trials = append(o.Trials,
		Trial{System: "Peer", Kind: kindIdleSMTP, Pair: 1, Error: "421\ntoo many"},
		Trial{System: "Peer", Kind: kindRelay, Pair: 1, Discarded: "the disk changed", Relay: &work.Relayed{Rate: 9999}})
	text := o.Markdown("", "x")
	for _, want := range []string{
		"## Relay, 10,240 bytes, 20 sessions\n",
		"| Postrider | 1000 | 2.0 | 9.0 | 1.00 | 2.00 | 1.00 | 1 |",
		"| Peer | 500 | 3.0 | 10.0 | 1.00 | 2.00 | 1.00 | 1 (+1 discarded) |",
		"## 200 idle IMAP connections\n",
		"| Postrider | 100 | 3.0 | 4.0 | 1.00 | 50.0 | 60.0 | 1 |",
		"Peer, idle-smtp, failed: 421 too many",
		"## Large messages: 50 MiB each, 4 sessions\n",
		"| Postrider | 200.0 | 100 | 200 | 1.00 | 1.50 | 1 |",
		"memory of an idle IMAP connection by TLS | ≤ 40 KiB | 50.0 KiB: **not met** |",
		"memory of a message of 50 MiB in flight | < 1 MiB | 1.50 MiB: **not met** |",
		"- 200 idle IMAP connections, connections /s: 100, beside 200 (Peer)",
		"- 200 idle IMAP connections, KiB/connection: 50.0, beside 34.0 (Peer)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, wrong := range []string{"- Relay, 10", "- Large messages:", "resident KiB/connection:", "NaN"} {
		if strings.Contains(text, wrong) {
			t.Errorf("%q in:\n%s", wrong, text)
		}
	}
}

func TestMemoryThatHasShrunkMeetsNoGoal(t *testing.T) {
	o := tried()
	for i := range o.Trials {
		if c := o.Trials[i].Crowd; c != nil {
			c.PerConn = -5
		}
	}
	for _, g := range o.goals() {
		if strings.Contains(g.what, "idle IMAP connection") {
			t.Errorf("%+v", g)
		}
	}
}

func TestATrialWithoutAQuietRunIsUsedAndMarked(t *testing.T) {
	o := tried()
	for i := range o.Trials {
		o.Trials[i].Discarded = "the disk changed"
	}
	row := o.tryRow("Postrider", kindRelay)
	if row.noisy != 1 || row.used != 1 || row.discarded != 0 || row.value[0] != 1000 {
		t.Errorf("%+v", row)
	}
	if row = o.tryRow("Postrider", kindIdleSMTP); row.used != 0 || !math.IsNaN(row.value[0]) {
		t.Errorf("%+v", row)
	}
	if noise("", gauge.Probe{P50: 1}, gauge.Probe{P50: 1.4}) != "" || noise("", gauge.Probe{P50: 1}, gauge.Probe{P50: 0.6}) == "" ||
		noise("it ended", gauge.Probe{P50: 1}, gauge.Probe{}) != "" {
		t.Error("the rule of the probes")
	}
}

func TestIMAPGoalsAskWherePeersAreSlow(t *testing.T) {
	o := tried()
	add := func(system, workload string, p50 float64, messages int64) {
		o.Readings = append(o.Readings, Reading{System: system, Workload: workload, Pair: 1,
			Result: work.Result{Operations: 1, Messages: messages, Latency: load.Latency{P50: p50}}})
	}
	add("Postrider", "fetch-envelope", 200, 10_000) // slow because of the time
	add("Peer", "fetch-envelope", 390, 10_000)
	add("Postrider", "append", 1, 1) // slow because of the messages
	add("Peer", "append", 2.2, 1)
	add("Postrider", "select", 3, 10_000) // not slow
	add("Peer", "select", 2, 10_000)
	add("Postrider", fullText, 10, 100) // has a goal of its own
	add("Peer", fullText, 499, 100)
	add("Postrider", "search-subject", 1, 100)
	add("Peer", "search-subject", 250, 100) // of 100 found, but of 10,000 looked at
	add("Postrider", "pop3-list", 9, 100)   // not IMAP
	add("Peer", "pop3-list", 1, 100)
	var have []string
	for _, g := range o.readGoals() {
		have = append(have, g.what+" | "+g.want+" | "+g.have)
	}
	want := []string{
		"IMAP FETCH 1:* ENVELOPE beside the fastest peer, which needs 390 ms | ≥ 2 × | 1.9 ×: **not met**",
		"IMAP SEARCH TEXT (1 % hits) beside the fastest peer, which needs 499 ms | ≥ 50 × | 49.9 ×: **not met**",
		"IMAP APPEND of one message beside the fastest peer, which needs 2 ms | ≥ 2 × | 2.2 ×: met",
		"IMAP lines slower than the fastest peer, of 5 | on none | on 1 (SELECT): **not met**",
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("%s", strings.Join(have, "\n"))
	}
	text := o.Markdown("", "x")
	for _, line := range []string{"- POP3 STAT, LIST, UIDL, p50: 9.00 ms, beside 1.00 ms (Peer)", "## POP3, an INBOX of 1,000 messages of 10,240 bytes"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in:\n%s", line, text)
		}
	}
}

func TestAComparisonGoesOnWhereItWasEnded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures.json")
	if o, err := ReadFile(file); o != nil || err != nil {
		t.Fatalf("%v %v", o, err)
	}
	old := tried()
	old.Command, old.Versions = "compare --pairs 2", map[string]string{"Peer": "1"}
	for _, w := range readings() {
		old.Readings = append(old.Readings, Reading{System: "Peer", Workload: w.name, Pair: 1},
			Reading{System: "Peer", Workload: w.name, Pair: 2, Discarded: "the disk changed"})
	}
	old.Readings = append(old.Readings, Reading{System: "Postrider", Workload: "login", Pair: 1}) // ended within this turn
	old.Trials = append(old.Trials, Trial{System: "Peer", Kind: kindIdleSMTP, Pair: 1, Error: "it ended"})
	if err := old.WriteFile(file); err != nil {
		t.Fatal(err)
	}
	kept, err := ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	now := &Outcome{Command: old.Command, Versions: map[string]string{"Peer": "1"}, Configs: map[string]string{}}
	if n := now.resume(kept); n != 5+6+1+2*len(readings()) {
		t.Errorf("%d runs were taken over", n)
	}
	if !reflect.DeepEqual(now.Runs[0], old.Runs[0]) || now.Configs["Peer"] == "" {
		t.Errorf("%+v", now)
	}
	for what, c := range map[string]struct{ have, want int }{
		"a run that counts":       {now.ran("Peer", 50, 1), enough},
		"one that failed too":     {now.ran("Peer", 50, 2), enough},
		"another pair":            {now.ran("Peer", 50, 3), 0},
		"a trial":                 {now.tried("Peer", kindRelay, 1), enough},
		"a trial that failed":     {now.tried("Peer", kindIdleSMTP, 1), 0},
		"a turn of reading":       {now.readTries("Peer", 1), enough},
		"a noisy turn":            {now.readTries("Peer", 2), 1},
		"a turn that was ended":   {now.readTries("Postrider", 1), 0},
		"a trace, of 0 others":    {len(now.Traces), 1},
		"a turn that never began": {now.readTries("Postrider", 2), 0},
	} {
		if c.have != c.want {
			t.Errorf("%s: %d, want %d", what, c.have, c.want)
		}
	}
	for what, other := range map[string]*Outcome{
		"another command": {Command: "compare --pairs 9", Versions: now.Versions},
		"another program": {Command: old.Command, Versions: map[string]string{"Peer": "2"}},
		"another machine": {Command: old.Command, Versions: now.Versions, Machine: gauge.Machine{CPUs: 999}},
	} {
		if other.resume(kept) != 0 || len(other.Runs) != 0 {
			t.Errorf("%s: went on", what)
		}
	}
	if kept.Complete = true; now.resume(kept) != 0 {
		t.Error("a comparison that was complete went on")
	}
	if err := os.WriteFile(file, []byte("no figures"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(file); err == nil || !strings.Contains(err.Error(), "not the figures of a comparison") {
		t.Errorf("%v", err)
	}
}

// What smtp-sink prints comes in pieces, with a carriage return for each.
func TestSinkCounters(t *testing.T) {
	for _, c := range []struct {
		said string
		want int64
	}{{"", 0}, {"sess=1 quit=0 mesg=0\rsess=1 quit=0 mesg=12\r", 12}, {"sess=3 quit=2 mesg=7\rsess=3 qu", 7}, {"fatal: no\nmesg=x\r", 0}} {
		k := &smtpSink{}
		if k.count(iotest.OneByteReader(strings.NewReader(c.said))); k.messages.Load() != c.want {
			t.Errorf("%q: %d, not %d", c.said, k.messages.Load(), c.want)
		}
	}
}

// A comparison of one kind has no tables of delivery, and the goals of that kind.
func TestOnly(t *testing.T) {
	o := &Outcome{Systems: []string{peer.PostriderName, "other", "third"}, Size: 1024, Duration: 5, Trials: []Trial{
		{System: peer.PostriderName, Kind: kindSource, CPU: 0.5, Source: &Source{Rate: 4000, Syncs: 0.5}},
		{System: "other", Kind: kindSource, CPU: 3.5, Source: &Source{Rate: 900, Syncs: 1}},
		{System: "third", Kind: kindSource, CPU: 2.9, Source: &Source{Rate: 500, Syncs: 1}},
	}}
	text := o.Markdown("", "mailbench compare --only smtp-source")
	for _, want := range []string{"| Postrider | 4000 |", "smtp-source: relayed messages a second beside the fastest peer | ≥ 4 × | 4.4 ×: met", "≤ 1/6 | 1/5.8: **not met**", "docs/benchmarks-relay.md"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "SMTP to mailbox") || strings.Contains(text, "All runs") {
		t.Error("tables of what was not measured")
	}
	if err := (&Options{Systems: []peer.System{nil}, Pairs: 1, Users: 1, Sessions: []int{1}, Duration: 1, Size: 1024, Only: []string{"smtp-sourse"}}).check(); err == nil ||
		!strings.Contains(err.Error(), "smtp-source, smtp-source-d, relay") {
		t.Errorf("a kind that does not exist: %v", err)
	}
}
