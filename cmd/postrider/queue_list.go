package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/postrider/postrider/internal/admin"
)

// jobList writes messages of the queue as they come, in bounded memory: as an array of JSON, or as a table whose widths are
// found anew every so many lines.
type jobList struct {
	app   *app
	w     *bufio.Writer
	table *table
	none  string // said of an empty list
	n     int
}

const (
	listedTable      = 1000 // lines behind which the heads are repeated
	listedRecipients = 100  // of one message; the rest are counted
)

func (a *app) newJobList() *jobList {
	return &jobList{app: a, w: bufio.NewWriter(a.stdout), none: "The queue is empty."}
}

func (l *jobList) add(j admin.Job) error {
	l.n++
	if l.app.flags.JSON {
		return l.addJSON(j)
	}
	if l.table == nil {
		l.table = newTable("QUEUE ID", "STATE", "ARRIVED", ">SIZE", "FROM", "TO", "WHY IT WAITS")
	}
	first := []string{j.ID, j.State, shortTime(j.Arrival), shortSize(j.Size), sender(j)}
	for i, r := range j.Recipients {
		why := reason(r)
		if i == 0 && j.Held != "" {
			why = j.Held
		}
		if i == listedRecipients {
			l.table.row("", "", "", "", "", fmt.Sprintf("and %d more", len(j.Recipients)-i), "-")
			break
		}
		l.table.row(append(first[:5:5], r.Address, why)...)
		first = []string{"", "", "", "", ""}
	}
	if len(j.Recipients) == 0 {
		l.table.row(append(first, "-", "-")...)
	}
	if len(l.table.rows) >= listedTable {
		l.table.write(l.app, l.w, "")
		l.table = nil
	}
	return nil
}

func (l *jobList) addJSON(j admin.Job) error {
	b, err := json.MarshalIndent(j, "  ", "  ")
	if err != nil {
		return err
	}
	sep := ",\n  "
	if l.n == 1 {
		sep = "[\n  "
	}
	_, err = l.w.WriteString(sep + string(b))
	return err
}

func (l *jobList) end() error {
	switch {
	case l.app.flags.JSON && l.n == 0:
		fmt.Fprintln(l.w, "[]")
	case l.app.flags.JSON:
		fmt.Fprintln(l.w, "\n]")
	case l.n == 0:
		fmt.Fprintln(l.w, l.none)
	case l.table != nil:
		l.table.write(l.app, l.w, "")
	}
	return l.w.Flush()
}

func (c queueStatsCmd) Run(a *app) error {
	return a.operateQueue(func(ctx context.Context, api admin.API) error {
		s, err := api.QueueStats(ctx)
		if err != nil {
			return err
		}
		return a.show(s, func(w io.Writer) {
			a.groups(w, "STATE", append(s.States, named("total", s.Total)), s)
			if len(s.Sites) == 0 {
				return
			}
			fmt.Fprintln(w)
			sites := s.Sites
			if c.Sites > 0 && len(sites) > c.Sites {
				sites = sites[:c.Sites]
			}
			a.groups(w, "SITE", sites, s)
			if more := len(s.Sites) - len(sites); more > 0 {
				fmt.Fprintf(w, "and %d more sites\n", more)
			}
			a.siteLimits(w, s, c.Sites)
		})
	})
}

// siteLimits writes a table of what sites get at present.
func (a *app) siteLimits(w io.Writer, s admin.QueueStats, most int) {
	if len(s.Limits) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable("SITE", ">UNDER WAY", ">DUE", ">LIMIT", "RESTS FOR", "WHY")
	for i, l := range s.Limits {
		if most > 0 && i == most {
			break
		}
		rests := ""
		if !l.RestUntil.IsZero() {
			rests = shortAge(max(0, l.RestUntil.Sub(s.At)))
		}
		t.row(l.Site, strconv.Itoa(l.UnderWay), strconv.Itoa(l.Due), strconv.Itoa(l.Limit), rests, oneLine(l.Reason))
	}
	t.write(a, w, "")
}

func named(name string, g admin.QueueGroup) admin.QueueGroup {
	g.Name = name
	return g
}

// groups writes a table of what is counted, with the ages as qshape(1) has them.
func (a *app) groups(w io.Writer, head string, list []admin.QueueGroup, s admin.QueueStats) {
	heads := []string{head, ">MESSAGES", ">RECIPIENTS", ">SIZE", ">OLDEST"}
	for _, bound := range s.AgeBounds {
		heads = append(heads, "><"+shortAge(time.Duration(bound)*time.Minute))
	}
	t := newTable(append(heads, ">older")...)
	for _, g := range list {
		oldest := "-"
		if !g.Oldest.IsZero() {
			oldest = shortAge(s.At.Sub(g.Oldest))
		}
		row := []string{g.Name, strconv.Itoa(g.Messages), strconv.Itoa(g.Recipients), shortSize(g.Bytes), oldest}
		for _, n := range g.Ages {
			row = append(row, strconv.Itoa(n))
		}
		t.row(row...)
	}
	t.write(a, w, "The queue is empty.")
}

// shortAge is a duration in its two largest units.
func shortAge(d time.Duration) string {
	d = max(0, d.Truncate(time.Second))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		if m := int(d.Minutes()) % 60; m != 0 {
			return fmt.Sprintf("%dh%dm", int(d.Hours()), m)
		}
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}
