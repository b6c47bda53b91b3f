package main

import (
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-isatty"

	"github.com/postrider/postrider/cmd/mailbench/load"
)

// terminal shows one line that is written over; on anything but a terminal it shows nothing, so that logs stay short.
type terminal struct {
	w     io.Writer
	live  bool
	label string
	what  string // is counted
}

func newTerminal(f *os.File, what string) *terminal {
	return &terminal{w: f, live: isatty.IsTerminal(f.Fd()), what: what}
}

func (t *terminal) load(s load.Snapshot) {
	if !t.live {
		return
	}
	rate := float64(s.Messages) / s.Elapsed.Seconds()
	count := load.Grouped(s.Messages)
	if s.Of > 0 {
		count += " of " + load.Grouped(s.Of)
	}
	fmt.Fprintf(t.w, "\r\x1b[K%s%5.1f s  %s %s  %.0f/s  p50 %.1f ms  p99 %.1f ms", t.label, s.Elapsed.Seconds(), count, t.what, rate, float64(s.P50.Microseconds())/1000, float64(s.P99.Microseconds())/1000)
	if s.Memory > 0 {
		fmt.Fprintf(t.w, "  server %s", mebibytes(s.Memory))
	}
	if s.Behind > 0 {
		fmt.Fprintf(t.w, "  %s on their way", load.Grouped(s.Behind))
	}
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
