package compare

import (
	"fmt"
	"math"
	"slices"

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

// readTable is one line for each workload, one group of columns for each system.
func (o *Outcome) readTable(p *page) {
	systems := o.readers()
	if len(systems) == 0 {
		return
	}
	p.say("## IMAP, a mailbox of %s messages of %s bytes, one session\n", load.Grouped(int64(o.Mailbox)), load.Grouped(int64(o.Size)))
	columns := []string{"operation"}
	for _, s := range systems {
		columns = append(columns, s+" p50 ms", "p99 ms", "CPU ms")
	}
	if len(systems) > 1 {
		columns = append(columns, "fastest peer ÷ "+systems[0])
	}
	p.table(columns...)
	for _, w := range readings() {
		cells := []string{readText(w)}
		for _, s := range systems {
			r := o.readRow(s, w)
			if r.used == 0 {
				cells = append(cells, "–", "–", "–")
				continue
			}
			cells = append(cells, number("%.2f", r.p50), number("%.2f", r.p99), number("%.2f", r.cpu))
		}
		if len(systems) > 1 {
			best, _ := o.bestReader(w)
			cells = append(cells, number("%.2f ×", best.p50/o.readRow(systems[0], w).p50))
		}
		p.cells(cells...)
	}
	p.say("")
	for _, r := range o.Readings {
		if r.Error != "" {
			p.say("%s, IMAP %s, failed: %s\n", r.System, r.Workload, oneLine(r.Error))
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

// readBehind lists the workloads in which the first system is slower than the fastest other, or needs more CPU.
func (o *Outcome) readBehind() []string {
	systems := o.readers()
	if len(systems) < 2 || systems[0] != o.Systems[0] {
		return nil
	}
	var list []string
	for _, w := range readings() {
		ours := o.readRow(systems[0], w)
		best, who := o.bestReader(w)
		if ours.used == 0 || who == "" {
			continue
		}
		if ours.p50 > best.p50 {
			list = append(list, fmt.Sprintf("IMAP %s, p50: %.2f ms, beside %.2f ms (%s)", readText(w), ours.p50, best.p50, who))
		}
		if ours.cpu > best.cpu {
			list = append(list, fmt.Sprintf("IMAP %s, CPU: %.2f ms, beside %.2f ms (%s)", readText(w), ours.cpu, best.cpu, who))
		}
	}
	return list
}

// readText says what one operation is.
func readText(workload string) string {
	return map[string]string{
		"login": "connect, LOGIN, LOGOUT", "select": "SELECT", "fetch-flags": "FETCH 1:* FLAGS", "fetch-envelope": "FETCH 1:* ENVELOPE",
		"fetch-structure": "FETCH 1:* BODYSTRUCTURE", "fetch-bodies": "FETCH of 1,000 whole messages", "search-unseen": "SEARCH UNSEEN",
		"search-subject": "SEARCH SUBJECT (1 % hits)", "search-text": "SEARCH TEXT (1 % hits)", "store": "STORE of 100 messages",
		"append": "APPEND of one message", "copy": "COPY of 100 messages",
	}[workload]
}
