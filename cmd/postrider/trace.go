package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/node"
)

type traceCmd struct {
	What   string `arg:"" optional:"" help:"A queue id, a Message-ID, an address, @domain, a client's IP address, or a connection's id."`
	Since  string `help:"Only what happened since: a time such as '2026-11-22 14:00', or how long ago, such as 90m, 3h or 2d." placeholder:"TIME"`
	Until  string `help:"Only what happened until then." placeholder:"TIME"`
	Limit  int    `help:"How many messages and connections, the latest." default:"100" placeholder:"N"`
	Follow bool   `short:"f" help:"Go on with what happens, until interrupted."`
}

func (c traceCmd) Run(a *app) error {
	q := admin.TraceQuery{What: c.What, Limit: c.Limit, Follow: c.Follow}
	if c.What == "" && c.Since == "" && !c.Follow {
		return usagef("say what: a queue id, a Message-ID, an address, @domain, a client's IP address, a connection's id; or --since for everything")
	}
	if strings.TrimSpace(c.What) == "<>" {
		return usagef("the null sender cannot be asked for: it is that of every bounce; ask for the recipient, or the message that caused it")
	}
	if c.Limit <= 0 {
		return usagef("--limit wants a number above 0")
	}
	var err error
	now := time.Now()
	if q.Since, err = moment(c.Since, now); err == nil {
		q.Until, err = moment(c.Until, now)
	}
	if err != nil {
		return err
	}
	conf, err := a.load(nil)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := &traceOut{a: a, follow: c.Follow}
	client, err := admin.Dial(ctx, conf.RunDir)
	switch {
	case errors.Is(err, admin.ErrNoServer):
		err = a.readTrace(ctx, conf, q, out.item)
	case err == nil:
		defer client.Close()
		err = client.Trace(ctx, q, out.item)
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	return out.end()
}

// readTrace reads the files themselves: no server has to run, and nothing has to be in order besides them.
func (a *app) readTrace(ctx context.Context, c *config.Config, q admin.TraceQuery, each func(admin.TraceItem) error) error {
	info, err := os.Stat(c.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return withCode(exitNoInput, "there is no data directory %s%s", c.DataDir, a.hint())
	}
	if err == nil {
		err = becomeOwner(info)
	}
	if err != nil {
		return err
	}
	return node.ReadTrace(ctx, c, q, func() {}, each)
}

// moment reads a time: how long ago, or when.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	var ago config.Duration
	if err := ago.UnmarshalText([]byte(text)); err == nil {
		return now.Add(-ago.D()), nil
	}
	for _, form := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t, nil
		}
	}
	for _, form := range []string{time.TimeOnly, "15:04"} { // of today
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			y, m, d := now.Local().Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.Local), nil
		}
	}
	return time.Time{}, usagef("%q is no time: want one such as '2026-11-22 14:00' or 14:00, or how long ago, such as 90m, 3h or 2d", text)
}

// traceOut writes what a trace tells. As JSON it is an array of stories; with --follow a line for each record.
type traceOut struct {
	a       *app
	follow  bool
	stories int
	last    string // queue id or connection of the record before, with --follow
}

func (o *traceOut) item(i admin.TraceItem) error {
	w := io.Writer(o.a.stdout)
	switch {
	case i.End != nil:
		o.finish(*i.End)
		return nil
	case i.Story != nil && o.a.flags.JSON && o.follow:
		for _, r := range i.Story.Records {
			if _, err := fmt.Fprintf(w, "%s\n", r); err != nil {
				return err
			}
		}
		return nil
	case i.Story != nil && o.a.flags.JSON:
		open := ","
		if o.stories++; o.stories == 1 {
			open = "["
		}
		if _, err := io.WriteString(w, open); err != nil {
			return err
		}
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(i.Story)
	case i.Story != nil:
		if o.stories++; o.stories > 1 {
			fmt.Fprintln(w)
		}
		return o.a.tellStory(w, i.Story)
	case i.Record != nil && o.a.flags.JSON:
		_, err := fmt.Fprintf(w, "%s\n", i.Record)
		return err
	case i.Record != nil:
		return o.record(w, i.Record)
	}
	return nil
}

// record writes one of those that happen, under the message or connection that it is of.
func (o *traceOut) record(w io.Writer, raw json.RawMessage) error {
	r, err := readRecord(raw)
	if err != nil {
		return err
	}
	if of := dash(r.QueueID + map[bool]string{true: r.Session}[r.QueueID == ""]); of != o.last {
		o.last = of
		fmt.Fprintf(w, "\n%s\n", o.a.bold(printable(of)))
	}
	o.a.tellRecord(w, r)
	return nil
}

// finish says on the side how complete the answer is.
func (o *traceOut) finish(e admin.TraceEnd) {
	say := func(format string, args ...any) { fmt.Fprintf(o.a.stderr, "postrider: "+format+"\n", args...) }
	if e.More {
		say("there is more, of earlier: raise --limit, or narrow it by --until")
	}
	if e.Damaged > 0 {
		say("%d bytes of the trace cannot be read", e.Damaged)
	}
	if e.Off {
		say("the trace is not kept now: trace.enabled is false")
	}
}

func (o *traceOut) end() error {
	switch {
	case o.a.flags.JSON && !o.follow && o.stories == 0:
		_, err := fmt.Fprintln(o.a.stdout, "[]")
		return err
	case o.a.flags.JSON && !o.follow:
		_, err := fmt.Fprintln(o.a.stdout, "]")
		return err
	case o.stories == 0 && !o.follow:
		_, err := fmt.Fprintln(o.a.stdout, "Nothing of that is in the trace.")
		return err
	}
	return nil
}
