package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/postrider/postrider/cmd/mailbench/load"
)

// column is one figure of a trial.
type column struct {
	name   string
	of     func(*Trial) float64
	more   bool // is better
	format string
}

// columns are the figures of a kind; in all of them a system may be behind.
func columns(kind string) []column {
	cpu := func(what string) column {
		return column{"CPU ms/" + what, func(t *Trial) float64 { return t.CPU }, false, "%.2f"}
	}
	switch kind {
	case kindSource, kindKept:
		return []column{
			{relayed, func(t *Trial) float64 { return t.Source.Rate }, true, "%.0f"},
			{"accepted /s", func(t *Trial) float64 { return t.Source.Accepted }, true, "%.0f"},
			cpu("message"),
			{"MiB loaded", func(t *Trial) float64 { return mib(t.Source.Memory) }, false, "%.0f"},
			{"syncs/message", func(t *Trial) float64 { return cmp.Or(t.Source.Syncs, math.NaN()) }, false, "%.2f"},
		}
	case kindRelay:
		return []column{
			{relayed, func(t *Trial) float64 { return t.Relay.Rate }, true, "%.0f"},
			{"through p50 ms", func(t *Trial) float64 { return t.Relay.Through.P50 }, false, "%.1f"},
			{"through p99 ms", func(t *Trial) float64 { return t.Relay.Through.P99 }, false, "%.1f"},
			{"reply p50 ms", func(t *Trial) float64 { return t.Relay.Source.Data.P50 }, false, "%.2f"},
			{"reply p99 ms", func(t *Trial) float64 { return t.Relay.Source.Data.P99 }, false, "%.2f"},
			cpu("message"),
		}
	case kindBig:
		return []column{
			{"in mailboxes MiB/s", func(t *Trial) float64 { return t.Big.Rate * float64(t.Big.Load.Sizes[0]) / (1 << 20) }, true, "%.1f"},
			{"reply p50 ms", func(t *Trial) float64 { return t.Big.Load.Data.P50 }, false, "%.0f"},
			{"reply p99 ms", func(t *Trial) float64 { return t.Big.Load.Data.P99 }, false, "%.0f"},
			cpu("message"),
			{inFlight, func(t *Trial) float64 { return mib(t.Big.InFlight) }, false, "%.2f"},
		}
	}
	return []column{
		{"connections /s", func(t *Trial) float64 { return t.Crowd.Rate }, true, "%.0f"},
		{"p50 ms", func(t *Trial) float64 { return t.Crowd.Login.P50 }, false, "%.1f"},
		{"p99 ms", func(t *Trial) float64 { return t.Crowd.Login.P99 }, false, "%.1f"},
		cpu("connection"),
		{"KiB/connection", func(t *Trial) float64 { return float64(t.Crowd.PerConn) / 1024 }, false, "%.1f"},
		{"resident KiB/connection", func(t *Trial) float64 { return float64(t.Crowd.PerConnRSS) / 1024 }, false, "%.1f"},
	}
}

const (
	inFlight = "MiB in flight/message"
	relayed  = "relayed /s"

	cpuMessage = "CPU ms/message"
)

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// trialTitle is the heading of a kind's table, and what must be known to read it.
func (o *Outcome) trialTitle(kind string) (title, more string) {
	switch kind {
	case kindSource:
		return fmt.Sprintf("smtp-source → system → smtp-sink, %s bytes, %s", load.Grouped(int64(o.Size)), plural(relaySessions, "session")),
			"Postfix's own test programs on both sides, as Postfix's developers measure: smtp-source makes a connection for each message and waits " +
				"for each reply. In the clear, without AUTH and without signing; of Postfix + Dovecot only Postfix takes part. *Relayed* counts " +
				"until the last message is at the sink."
	case kindKept:
		return fmt.Sprintf("smtp-source -d → system → smtp-sink, %s bytes, %s", load.Grouped(int64(o.Size)), plural(relaySessions, "session")),
			"The same, but a session of smtp-source keeps its connection."
	case kindRelay:
		return fmt.Sprintf("Relay, %s bytes, %s", load.Grouped(int64(o.Size)), plural(relaySessions, "session")),
			"From our source through the system into our sink, in the clear, without AUTH and without signing; of Postfix + Dovecot only " +
				"Postfix takes part. *Through* runs from the first byte sent to the end of the message at the sink."
	case kindIdleSMTP:
		return plural(o.Crowd, "idle SMTP connection"), "In the clear, after EHLO, each from an address of its own. Times run from the connect until it waits."
	case kindIdleIMAP:
		return plural(o.Crowd, "idle IMAP connection"), "TLS, logged in, INBOX open, in IDLE, each from an address of its own; memory is what the " +
			"system had more than before them, divided by them: proportional set size, and the larger sum of resident set sizes. " +
			"Times run from the connect until it waits."
	}
	return fmt.Sprintf("Large messages: %.0f MiB each, %s", mib(int64(o.BigSize)), plural(bigSessions, "session")),
		"Memory in flight is anonymous memory (heaps, stacks) at its highest, less what there was before, for each session."
}

// trialRow is the medians of one system in one kind.
type trialRow struct {
	used, discarded, noisy int
	value                  []float64 // of columns(kind)
	failed                 []string
}

// tryRow makes a row by the rule of summarize: noisy runs only where there is nothing else.
func (o *Outcome) tryRow(system, kind string) (row trialRow) {
	var good, noisy []*Trial
	for i := range o.Trials {
		t := &o.Trials[i]
		switch {
		case t.System != system || t.Kind != kind:
		case t.Error != "":
			row.failed = append(row.failed, t.Error)
		case t.Discarded != "":
			noisy = append(noisy, t)
		default:
			good = append(good, t)
		}
	}
	row.discarded = len(noisy)
	if len(good) == 0 {
		good, row.noisy, row.discarded = noisy, len(noisy), 0
	}
	row.used = len(good)
	for _, c := range columns(kind) {
		v := make([]float64, len(good))
		for i, t := range good {
			v[i] = c.of(t)
		}
		if row.value = append(row.value, math.NaN()); len(v) > 0 {
			row.value[len(row.value)-1] = middle(v)
		}
	}
	return row
}

// triers are the systems with a trial of a kind, in their order.
func (o *Outcome) triers(kind string) (list []string) {
	for _, s := range o.Systems {
		if slices.ContainsFunc(o.Trials, func(t Trial) bool { return t.System == s && t.Kind == kind }) {
			list = append(list, s)
		}
	}
	return list
}

func (o *Outcome) trialTables(p *page) {
	for _, kind := range kinds() {
		systems := o.triers(kind)
		if len(systems) == 0 {
			continue
		}
		title, more := o.trialTitle(kind)
		p.say("## %s\n\n%s\n", title, more)
		head := []string{"system"}
		for _, c := range columns(kind) {
			head = append(head, c.name)
		}
		p.table(append(head, "runs")...)
		var failures []string
		for _, s := range systems {
			row := o.tryRow(s, kind)
			cells := []string{s}
			for i, c := range columns(kind) {
				cells = append(cells, number(c.format, row.value[i]))
			}
			p.cells(append(cells, runsCell(row.used, row.discarded, row.noisy, len(row.failed)))...)
			for _, e := range row.failed {
				failures = append(failures, fmt.Sprintf("%s, %s, failed: %s", s, kind, oneLine(e)))
			}
		}
		p.say("")
		for _, f := range failures { // what a failed run measured is in no row
			p.say("%s\n", f)
		}
	}
}

// runsCell tells how many runs stand behind a row.
func runsCell(used, discarded, noisy, failed int) string {
	s := fmt.Sprint(used)
	if discarded > 0 {
		s += fmt.Sprintf(" (+%d discarded)", discarded)
	}
	if noisy > 0 {
		s += ", **all noisy**"
	}
	if failed > 0 {
		s += fmt.Sprintf(", **%d failed**", failed)
	}
	return s
}

// trialBehind lists the columns of all trials in which the first system is worse than the best other.
func (o *Outcome) trialBehind() (list []string) {
	for _, kind := range kinds() {
		systems := o.triers(kind)
		if len(systems) < 2 || systems[0] != o.Systems[0] {
			continue
		}
		title, _ := o.trialTitle(kind)
		ours := o.tryRow(systems[0], kind)
		for i, c := range columns(kind) {
			best, who := math.NaN(), ""
			for _, s := range systems[1:] {
				if v := o.tryRow(s, kind).value[i]; !math.IsNaN(v) && (who == "" || (v > best) == c.more) {
					best, who = v, s
				}
			}
			if v := ours.value[i]; who != "" && !math.IsNaN(v) && v != best && (v > best) != c.more {
				list = append(list, fmt.Sprintf("%s, %s: "+c.format+", beside "+c.format+" (%s)", title, c.name, v, best, who))
			}
		}
	}
	return list
}
