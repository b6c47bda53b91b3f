package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/postrider/postrider/cmd/mailbench/load"
)

// readers are the systems that were read, in their order.
func (o *Outcome) readers() []string {
	var list []string
	for _, s := range o.Systems {
		if slices.ContainsFunc(o.Readings, func(r Reading) bool { return r.System == s }) {
			list = append(list, s)
		}
	}
	return list
}

// readTables are one line for each workload, one group of columns for each system.
func (o *Outcome) readTables(p *page) {
	if len(o.readers()) == 0 {
		return
	}
	size := load.Grouped(int64(o.Size))
	o.readTable(p, "imap", fmt.Sprintf("IMAP, a mailbox of %s messages of %s bytes, one session", load.Grouped(int64(o.Mailbox)), size))
	o.readTable(p, "pop3", fmt.Sprintf("POP3, an INBOX of %s messages of %s bytes, one session", load.Grouped(int64(min(o.Mailbox, popMessages))), size))
	o.readNotes(p)
}

func (o *Outcome) readTable(p *page, protocol, title string) {
	systems := o.readers()
	p.say("## %s\n", title)
	columns := []string{"operation"}
	for _, s := range systems {
		columns = append(columns, s+" p50 ms", "p99 ms", "CPU ms")
	}
	if len(systems) > 1 {
		columns = append(columns, "fastest peer ÷ "+systems[0])
	}
	p.table(columns...)
	for _, w := range readings() {
		if w.protocol != protocol {
			continue
		}
		cells := []string{w.text}
		for _, s := range systems {
			r := o.readRow(s, w.name)
			if r.used == 0 {
				cells = append(cells, "–", "–", "–")
				continue
			}
			cells = append(cells, number("%.2f", r.p50), number("%.2f", r.p99), number("%.2f", r.cpu))
		}
		if len(systems) > 1 {
			best, _ := o.bestReader(w.name)
			cells = append(cells, number("%.2f ×", best.p50/o.readRow(systems[0], w.name).p50))
		}
		p.cells(cells...)
	}
	p.say("")
}

// readNotes tells which turns stand behind the lines, and what failed.
func (o *Outcome) readNotes(p *page) {
	for _, s := range o.readers() {
		r := o.readRow(s, readings()[0].name)
		p.say("%s: turns of reading: %s.\n", s, runsCell(r.used, r.discarded, r.noisy, 0))
	}
	for _, r := range o.Readings {
		if r.Error != "" {
			p.say("%s, %s, failed: %s\n", r.System, r.Workload, oneLine(r.Error))
		}
	}
}

// bestReader is the peer with the lowest p50 of a workload.
func (o *Outcome) bestReader(workload string) (best readRow, system string) {
	best.p50 = math.NaN()
	for _, s := range o.readers()[1:] {
		if r := o.readRow(s, workload); r.used > 0 && (system == "" || r.p50 < best.p50) {
			best, system = r, s
		}
	}
	return best, system
}

// ourRow is the first system's row of a workload and the fastest peer's; ok is false unless both were measured.
func (o *Outcome) ourRow(workload string) (ours, best readRow, who string, ok bool) {
	systems := o.readers()
	if len(systems) < 2 || systems[0] != o.Systems[0] {
		return ours, best, "", false
	}
	ours = o.readRow(systems[0], workload)
	best, who = o.bestReader(workload)
	return ours, best, who, ours.used > 0 && who != ""
}

// readBehind lists where the first system is slower than the fastest other, in the middle or at worst, or needs more CPU
// than the most frugal.
func (o *Outcome) readBehind() (list []string) {
	for _, w := range readings() {
		ours, _, _, ok := o.ourRow(w.name)
		if !ok {
			continue
		}
		for _, m := range []struct {
			name string
			of   func(readRow) float64
		}{
			{"p50", func(r readRow) float64 { return r.p50 }},
			{"p99", func(r readRow) float64 { return r.p99 }},
			{"CPU", func(r readRow) float64 { return r.cpu }},
		} {
			best, who := math.NaN(), ""
			for _, s := range o.readers()[1:] {
				if r := o.readRow(s, w.name); r.used > 0 && (who == "" || m.of(r) < best) {
					best, who = m.of(r), s
				}
			}
			if m.of(ours) > best {
				list = append(list, fmt.Sprintf("%s %s, %s: %.2f ms, beside %.2f ms (%s)", strings.ToUpper(w.protocol), w.text, m.name, m.of(ours), best, who))
			}
		}
	}
	return list
}

// readGoals are those of the design for IMAP: twice as fast where a peer is slow, never slower.
func (o *Outcome) readGoals() (list []goal) {
	var slower []string
	compared := 0
	for _, w := range readings() {
		ours, best, _, ok := o.ourRow(w.name)
		if w.protocol != "imap" || !ok || ours.p50 <= 0 {
			continue
		}
		compared++
		ratio := best.p50 / ours.p50
		if ratio < 1 {
			slower = append(slower, w.text)
		}
		about := best.messages
		if strings.HasPrefix(w.name, "search-") {
			about = float64(o.Mailbox) // it is about all that it looks through
		}
		want := 0.0
		switch {
		case w.name == fullText:
			want = goalFullText
		case best.p50 > slowWhole || about > 0 && best.p50/about > slowMessage:
			want = goalSlow
		default:
			continue
		}
		list = append(list, goal{fmt.Sprintf("IMAP %s beside the fastest peer, which needs %.0f ms", w.text, best.p50),
			fmt.Sprintf("≥ %.0f ×", want), fmt.Sprintf("%.1f ×: ", ratio) + verdict(ratio >= want)})
	}
	if compared == 0 {
		return nil
	}
	have := "on none: "
	if len(slower) > 0 {
		have = fmt.Sprintf("on %d (%s): ", len(slower), strings.Join(slower, "; "))
	}
	return append(list, goal{fmt.Sprintf("IMAP lines slower than the fastest peer, of %d", compared), "on none", have + verdict(len(slower) == 0)})
}
