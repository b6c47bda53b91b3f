package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/postrider/postrider/cmd/mailbench/gauge"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/work"
)

// sheet is a result for people: a name and a text on each line.
type sheet struct{ *tabwriter.Writer }

func newSheet(out io.Writer) sheet { return sheet{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)} }

func (s sheet) row(name, format string, args ...any) {
	fmt.Fprintf(s, name+"\t"+format+"\n", args...)
}

// server tells what the processes used, for n of what was counted.
func (s sheet) server(u *gauge.Usage, n int64, what string) {
	if u == nil {
		return
	}
	s.row("server", "CPU %.2f s, %.3f ms for each %s; memory %s before, %s at most, %s after", u.CPUSeconds,
		u.CPUSeconds*1000/float64(max(n, 1)), what, mebibytes(u.Before), mebibytes(u.Peak), mebibytes(u.After))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func printSent(out io.Writer, r load.Result) error {
	s := newSheet(out)
	s.row("messages", "%s in %.2f s, %.1f/s (%s, %d sessions, %s)", load.Grouped(r.Messages), r.Seconds, r.Rate,
		strings.ToUpper(r.Protocol), r.Sessions, byteSizes(r.Sizes))
	s.row("recipients", "%s", load.Grouped(r.Recipients))
	s.row("message to reply", "%s", latency(r.Data))
	s.row("MAIL to reply", "%s", latency(r.Transaction))
	s.row("connections", "%s", load.Grouped(r.Connections))
	s.server(r.Server, r.Messages, "message")
	if r.Uncertain > 0 {
		s.row("uncertain", "%s: the connection broke before the reply", load.Grouped(r.Uncertain))
	}
	s.row("failed", "%s", load.Grouped(r.Failed))
	kinds := make([]string, 0, len(r.Errors))
	for k := range r.Errors {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b string) int { return int(r.Errors[b] - r.Errors[a]) })
	for _, k := range kinds {
		s.row("  "+load.Grouped(r.Errors[k]), "%s", k)
	}
	return s.Flush()
}

func printRelayed(out io.Writer, r work.Relayed) error {
	if err := printSent(out, r.Source); err != nil {
		return err
	}
	s := newSheet(out)
	s.row("deliveries", "%s of %s promised arrived in %.2f s, %.1f/s", load.Grouped(r.Arrived), load.Grouped(r.Promised), r.Seconds, r.Rate)
	s.row("source to sink", "%s", latency(r.Through))
	s.row("missing", "%s", load.Grouped(r.Missing))
	s.row("duplicated", "%s", load.Grouped(r.Duplicated))
	s.row("damaged", "%s", load.Grouped(r.Damaged))
	if r.Unpromised > 0 {
		s.row("unpromised", "%s arrived although the reply to the source was lost", load.Grouped(r.Unpromised))
	}
	if r.Strangers > 0 {
		s.row("strangers", "%s messages that were not sent by this run, such as bounces", load.Grouped(r.Strangers))
	}
	return s.Flush()
}

func printWork(out io.Writer, r work.Result) error {
	s := newSheet(out)
	s.row("operations", "%s in %.2f s, %.1f/s (%s %s, %d sessions)", load.Grouped(r.Operations), r.Seconds, r.Rate,
		strings.ToUpper(r.Protocol), r.Workload, r.Sessions)
	if r.Messages > 0 {
		s.row("messages", "%s, %.0f/s", load.Grouped(r.Messages), r.PerSecond)
	}
	if r.Octets > 0 {
		s.row("text", "%s, %s/s", mebibytes(r.Octets), mebibytes(int64(float64(r.Octets)/r.Seconds)))
	}
	s.row("time of one", "%s", latency(r.Latency))
	s.server(r.Server, r.Operations, "operation")
	return s.Flush()
}

func printCrowd(out io.Writer, r work.Crowd) error {
	s := newSheet(out)
	s.row("connections", "%s in %.2f s, %.1f/s", load.Grouped(int64(r.Connections)), r.Seconds, r.Rate)
	s.row("until it waits", "%s", latency(r.Login))
	s.row("held", "%.1f s; every connection answered afterwards", r.Held)
	if r.Notified != nil {
		s.row("APPEND to notice", "%s", latency(*r.Notified))
	}
	if r.Server != nil {
		s.row("memory", "%s before, %s while idle: %.1f KiB for each connection (proportional set size)", mebibytes(r.Server.Before),
			mebibytes(r.Memory), float64(r.PerConn)/1024)
		s.row("resident", "%s while idle: %.1f KiB for each connection", mebibytes(r.Resident), float64(r.PerConnRSS)/1024)
		s.row("CPU while idle", "%.2f s", r.HoldCPU)
		s.server(r.Server, int64(r.Connections), "connection")
	}
	return s.Flush()
}

func printFilled(out io.Writer, user string, r work.Filled) error {
	s := newSheet(out)
	s.row(user, "%s messages, %s, in %.2f s by %s, %.1f/s; the mailbox has %s", load.Grouped(r.Messages), mebibytes(r.Octets), r.Seconds,
		r.Via, r.Rate, load.Grouped(r.Total))
	s.row("to search", "%q stands in %s subjects, %q in %s texts", work.SubjectWord, load.Grouped(r.InSubject), work.TextWord, load.Grouped(r.InText))
	s.server(r.Server, r.Messages, "message")
	return s.Flush()
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
