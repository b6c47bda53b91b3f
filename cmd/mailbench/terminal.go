package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/mattn/go-isatty"

	"github.com/postrider/postrider/cmd/mailbench/load"
)

// terminal shows one line that is written over; on anything but a terminal it shows nothing, so that logs stay short.
type terminal struct {
	w     io.Writer
	live  bool
	label string
}

func newTerminal(f *os.File) *terminal { return &terminal{w: f, live: isatty.IsTerminal(f.Fd())} }

func (t *terminal) load(s load.Snapshot) {
	if !t.live {
		return
	}
	rate := float64(s.Messages) / s.Elapsed.Seconds()
	fmt.Fprintf(t.w, "\r\x1b[K%s%5.1f s  %s messages  %.0f/s  p50 %.1f ms  p99 %.1f ms", t.label, s.Elapsed.Seconds(),
		load.Grouped(s.Messages), rate, float64(s.P50.Microseconds())/1000, float64(s.P99.Microseconds())/1000)
	if s.Failed > 0 {
		fmt.Fprintf(t.w, "  %s failed", load.Grouped(s.Failed))
	}
}

func (t *terminal) clear() {
	if t.live {
		fmt.Fprint(t.w, "\r\x1b[K")
	}
}

// line prints something that stays.
func (t *terminal) line(s string) {
	t.clear()
	fmt.Fprintln(t.w, s)
}

func printResult(out io.Writer, r load.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "messages\t%s in %.2f s, %.1f/s (%s, %d sessions, %s)\n", load.Grouped(r.Messages), r.Seconds, r.Rate,
		strings.ToUpper(r.Protocol), r.Sessions, byteSizes(r.Sizes))
	fmt.Fprintf(w, "recipients\t%s\n", load.Grouped(r.Recipients))
	fmt.Fprintf(w, "message to reply\t%s\n", latency(r.Data))
	fmt.Fprintf(w, "MAIL to reply\t%s\n", latency(r.Transaction))
	fmt.Fprintf(w, "connections\t%s\n", load.Grouped(r.Connections))
	if r.Uncertain > 0 {
		fmt.Fprintf(w, "uncertain\t%s: the connection broke before the reply\n", load.Grouped(r.Uncertain))
	}
	fmt.Fprintf(w, "failed\t%s\n", load.Grouped(r.Failed))
	kinds := make([]string, 0, len(r.Errors))
	for k := range r.Errors {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b string) int { return int(r.Errors[b] - r.Errors[a]) })
	for _, k := range kinds {
		fmt.Fprintf(w, "  %s\t%s\n", load.Grouped(r.Errors[k]), k)
	}
	return w.Flush()
}

func byteSizes(sizes []int) string {
	var s []string
	for _, n := range sizes {
		s = append(s, load.Grouped(int64(n)))
	}
	return strings.Join(s, ", ") + " bytes"
}

func latency(l load.Latency) string {
	return fmt.Sprintf("p50 %.2f ms  p99 %.2f ms  mean %.2f ms  max %.2f ms", l.P50, l.P99, l.Mean, l.Max)
}
