package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/internal/obs"
	"golang.org/x/term"
)

// checked is what `check --json` writes.
type checked struct {
	admin.CheckSummary
	List []admin.Fault `json:"list"`
}

func (c checkCmd) Run(a *app) error {
	conf, err := a.load(nil)
	if err != nil {
		return err
	}
	c.Repair = c.Repair || c.Rebuild
	ctx := context.Background()
	var result checked
	result.List = []admin.Fault{}
	p := progress{a: a, on: a.progressTo()}
	each := func(e admin.CheckEvent) error {
		switch {
		case e.Progress != nil:
			p.tell(*e.Progress)
		case e.Fault != nil && a.flags.JSON:
			result.List = append(result.List, *e.Fault)
		case e.Fault != nil:
			p.clear()
			_, err := io.WriteString(a.stdout, a.fault(*e.Fault))
			return err
		case e.Summary != nil:
			result.CheckSummary = *e.Summary
		}
		return nil
	}
	err = a.check(ctx, conf, admin.CheckQuery{Deep: c.Deep, Repair: c.Repair, Rebuild: c.Rebuild}, each)
	p.clear()
	if err != nil {
		return err
	}
	if err := a.show(result, func(w io.Writer) { a.summary(w, result.CheckSummary, c) }); err != nil {
		return err
	}
	if !result.Clean {
		return &codeError{code: exitData}
	}
	return nil
}

// check asks the running server, or looks at the data directory itself. It is open's way, but for the state: that is looked
// at as it is.
func (a *app) check(ctx context.Context, c *config.Config, q admin.CheckQuery, each func(admin.CheckEvent) error) error {
	for end := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		client, err := admin.Dial(ctx, c.RunDir)
		if err == nil {
			defer client.Close()
			return client.Check(ctx, q, each)
		}
		if !errors.Is(err, admin.ErrNoServer) {
			return err
		}
		err = a.checkDir(ctx, c, q, each)
		if !errors.Is(err, node.ErrLocked) || time.Now().After(end) {
			return err
		}
	}
}

func (a *app) checkDir(ctx context.Context, c *config.Config, q admin.CheckQuery, each func(admin.CheckEvent) error) error {
	info, err := os.Stat(c.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return withCode(exitNoInput, "there is no data directory %s%s", c.DataDir, a.hint())
	}
	if err != nil {
		return err
	}
	if err := becomeOwner(info); err != nil {
		return err
	}
	log, err := obs.New(obs.Options{Out: a.stderr, Format: "text", Level: "warn"})
	if err != nil {
		return err
	}
	return node.CheckOffline(ctx, node.Options{Config: c, Log: log, Version: version}, q, each)
}

// fault is a fault in lines for people.
func (a *app) fault(f admin.Fault) string {
	var where []string
	if f.Account != "" {
		where = append(where, f.Account)
	}
	if f.Mailbox != "" {
		where = append(where, f.Mailbox)
	}
	if f.UID != 0 {
		where = append(where, fmt.Sprintf("UID %d", f.UID))
	}
	if f.QueueID != "" {
		where = append(where, f.QueueID)
	}
	text := f.Text
	if len(where) > 0 {
		text = strings.Join(where, ", ") + ": " + text
	}
	kind := f.Kind
	if f.Note {
		kind += " (note)"
	}
	if f.Mended != "" {
		text += "\n    " + f.Mended
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return a.bold(kind) + "  " + strings.Join(lines, "\n") + "\n"
}

func (a *app) summary(w io.Writer, s admin.CheckSummary, c checkCmd) {
	what := fmt.Sprintf("%d packs, %d messages, %d jobs, %d accounts", s.Packs, s.Emails, s.Jobs, s.Accounts)
	if c.Deep {
		what += fmt.Sprintf("; %d records (%s) read in full", s.Records, shortSize(s.Bytes))
	}
	fmt.Fprintf(w, "Checked in %.1f s: %s.\n", s.Seconds, what)
	faults := fmt.Sprintf("%d faults", s.Faults)
	if s.Faults == 1 {
		faults = "1 fault"
	}
	switch {
	case s.Faults == 0:
		fmt.Fprintln(w, "Nothing is wrong.")
	case s.Clean:
		fmt.Fprintf(w, "%s, all mended or set aside.\n", faults)
	case c.Repair:
		fmt.Fprintf(w, "%s, %d mended or set aside; what is left needs a person.\n", faults, s.Mended)
	default:
		fmt.Fprintf(w, "%s. With --repair, what can be derived is mended, and what cannot is set aside.\n", faults)
	}
}

// progressTo tells whether a person watches.
func (a *app) progressTo() bool {
	f, ok := a.stderr.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && a.getenv("TERM") != "dumb"
}

// progress is one line on a terminal that is written over.
type progress struct {
	a     *app
	on    bool
	shown bool
}

func (p *progress) tell(e admin.CheckProgress) {
	if !p.on {
		return
	}
	line := e.Stage
	if e.Total > 0 {
		line = fmt.Sprintf("%s %3d %%", e.Stage, 100*min(e.Done, e.Total)/e.Total)
	}
	fmt.Fprintf(p.a.stderr, "\r\x1b[Kchecking: %s", printable(line))
	p.shown = true
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.a.stderr, "\r\x1b[K")
		p.shown = false
	}
}
