package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/compare"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/peer"
)

// compareCmd has zero, or -1 where zero means something, for what the form decides.
type compareCmd struct {
	Quick     bool          `help:"The short form: every table, with fewer, shorter and smaller runs (about 8 minutes; the full form about 35)."`
	Systems   []string      `help:"Systems, the one that the report is about first: postrider, maildir, mdbox, maildir-noflow, mdbox-noflow (Postfix + Dovecot, with in_flow_delay=0)." default:"postrider,maildir,mdbox,maildir-noflow,mdbox-noflow"`
	Sessions  []int         `help:"Numbers of sessions." default:"1,50"`
	Seconds   seconds       `help:"Load of one run: seconds, or a Go duration (10; quick 2)."`
	Pairs     int           `help:"Turns of every system at delivery, and half as many at all else (3; quick 1)."`
	Size      int           `help:"Bytes of a message." default:"10240"`
	Users     int           `help:"Users that the mail is for." default:"40"`
	Retries   int           `help:"Repetitions of a run during which the disk changed (2; quick 1)." default:"-1"`
	Traced    int           `help:"Messages to count syncs of, under strace; 0 leaves it out (100; quick 50)." default:"-1"`
	Mailbox   int           `help:"Messages of the mailbox that IMAP workloads read; 0 leaves IMAP and POP3 out (30000; quick 2000)." default:"-1"`
	ReadTime  seconds       `help:"Of each workload in each turn (2; quick 0.5)."`
	NoRelay   bool          `help:"Leave out relaying."`
	Only      []string      `help:"Only these: smtp-source (relaying between Postfix's own test programs), smtp-source-d, relay, idle-imap, idle-smtp, big." placeholder:"KIND"`
	Crowd     int           `help:"Idle connections; 0 leaves crowds out (1000; quick 200)." default:"-1"`
	BigSize   int           `help:"Bytes of a large message; 0 leaves them out." default:"52428800"`
	BigCount  int           `help:"Large messages of one run (16; quick 4)."`
	Limit     time.Duration `help:"Time for everything; what there is then is reported (40m; quick 20m)."`
	Dir       string        `help:"Folder on the disk to measure; a new one is made in it, and removed." default:"/var/tmp" type:"existingdir"`
	Postrider string        `help:"Postrider's program." default:"bin/postrider"`
	Set       []string      `help:"key=value for Postrider (--set). Repeatable." sep:"none"`
	Note      string        `help:"A remark for the top of the report."`
	Write     string        `help:"File that the report is written to, in Markdown; two plots are written beside it." placeholder:"FILE"`
	Save      string        `help:"File that all figures are kept in, as JSON, after each run. If it has those of the same command that was ended early, the comparison goes on there." placeholder:"FILE"`
	JSON      bool          `name:"json" help:"Print everything as JSON."`
	Keep      bool          `help:"Leave the folder of the systems, with their logs."`
}

// form fills what the command line has left open.
func (c *compareCmd) form() {
	full := compareCmd{Seconds: seconds(10 * time.Second), Pairs: 3, Retries: 2, Traced: 100, Mailbox: 30_000, ReadTime: seconds(2 * time.Second),
		Crowd: 1000, BigCount: 16, Limit: 40 * time.Minute}
	if c.Quick {
		full = compareCmd{Seconds: seconds(2 * time.Second), Pairs: 1, Retries: 1, Traced: 50, Mailbox: 2000, ReadTime: seconds(time.Second / 2),
			Crowd: 200, BigCount: 4, Limit: 20 * time.Minute}
	}
	for _, v := range []struct{ have, form *int }{{&c.Retries, &full.Retries}, {&c.Traced, &full.Traced}, {&c.Mailbox, &full.Mailbox}, {&c.Crowd, &full.Crowd}} {
		if *v.have < 0 {
			*v.have = *v.form
		}
	}
	c.Pairs, c.BigCount = cmp.Or(c.Pairs, full.Pairs), cmp.Or(c.BigCount, full.BigCount)
	c.Seconds, c.ReadTime, c.Limit = cmp.Or(c.Seconds, full.Seconds), cmp.Or(c.ReadTime, full.ReadTime), cmp.Or(c.Limit, full.Limit)
}

func (c *compareCmd) Run(ctx context.Context) (err error) {
	if os.Getuid() != 0 {
		return usageError{errors.New("compare runs Postfix and Dovecot, which only root can")}
	}
	c.form()
	before, err := c.before()
	if err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Limit, fmt.Errorf("the limit of %v is over", c.Limit))
	defer cancel()
	dir, release, err := workFolder(c.Dir, c.Keep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := os.Chmod(dir, 0o755); err != nil { // the systems run as users of their own
		return err
	}
	systems, err := c.systems(dir)
	if err != nil {
		return err
	}
	show := newTerminal(os.Stderr, "messages")
	o := compare.Options{
		Dir: dir, Systems: systems, Sessions: c.Sessions, Duration: time.Duration(c.Seconds), Pairs: c.Pairs,
		Users: c.Users, Size: c.Size, Retries: c.Retries, Traced: c.Traced, Stall: 30 * time.Second,
		Readers: c.readers(systems), Mailbox: c.Mailbox, ReadTime: time.Duration(c.ReadTime),
		Mailers: c.mailers(systems), Relay: !c.NoRelay, Only: c.Only, Crowd: c.Crowd, BigSize: c.BigSize, BigCount: c.BigCount,
		Command: c.commandLine(), Before: before, Say: show.line,
		Show: func(label string, s load.Snapshot) {
			show.label = label
			show.load(s)
		},
	}
	if c.Save != "" {
		o.Save = func(out *compare.Outcome) error { return out.WriteFile(c.Save) }
	}
	out, err := compare.All(ctx, o)
	show.clear()
	if err != nil {
		return usageError{err}
	}
	if err := c.report(out); err != nil {
		return err
	}
	if out.Cut != "" {
		if c.Save != "" {
			return fmt.Errorf("%s; the same command goes on with what is left", out.Cut)
		}
		return errors.New(out.Cut)
	}
	return nil
}

// before is what an earlier comparison has kept.
func (c *compareCmd) before() (*compare.Outcome, error) {
	if c.Save == "" {
		return nil, nil
	}
	return compare.ReadFile(c.Save)
}

func (c *compareCmd) systems(dir string) ([]peer.System, error) {
	var systems []peer.System
	var missing []string
	for i, name := range c.Systems {
		at := filepath.Join(dir, string(rune('a'+i))) // short: sockets have short names
		var s peer.System
		format, noFlow := strings.CutSuffix(name, "-noflow")
		switch peer.Format(format) {
		case peer.Maildir, peer.Mdbox:
			s = peer.NewStack(peer.StackOptions{Dir: at, Users: c.Users + 1, Crowd: c.Crowd, Format: peer.Format(format), NoFlow: noFlow})
		case "postrider":
			program, err := filepath.Abs(c.Postrider)
			if err != nil {
				return nil, err
			}
			s = peer.NewPostrider(peer.PostriderOptions{Program: program, Dir: at, Users: c.Users + 1, Set: c.Set})
		default:
			return nil, usageError{fmt.Errorf("%q is none of postrider, maildir, mdbox, maildir-noflow, mdbox-noflow", name)}
		}
		missing = append(missing, s.Missing()...)
		systems = append(systems, s)
	}
	if c.Traced > 0 {
		if _, err := exec.LookPath("strace"); err != nil {
			missing = append(missing, "strace")
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("not installed: %s (`make peers` installs Debian's packages)", strings.Join(unique(missing), ", "))
	}
	return systems, nil
}

// readers are the systems whose IMAP server is not another's too.
func (c *compareCmd) readers(systems []peer.System) []peer.System {
	var list []peer.System
	for i, name := range c.Systems {
		if !strings.HasSuffix(name, "-noflow") {
			list = append(list, systems[i])
		}
	}
	return list
}

// mailers are the systems whose SMTP server is not another's too: how Dovecot keeps mail is no matter to Postfix.
func (c *compareCmd) mailers(systems []peer.System) []peer.System {
	var list []peer.System
	seen := map[string]bool{}
	for i, name := range c.Systems {
		format, flow, _ := strings.Cut(name, "-")
		if format == "postrider" {
			flow = format
		}
		if !seen[flow] {
			list = append(list, systems[i])
		}
		seen[flow] = true
	}
	return list
}

func (c *compareCmd) report(out *compare.Outcome) error {
	if c.Write != "" {
		if err := c.draw(out); err != nil {
			return err
		}
	}
	text := out.Markdown(c.Note, c.commandLine())
	if c.Write != "" {
		if err := os.WriteFile(c.Write, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if c.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(out)
	}
	if c.Write == "" {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	return nil
}

// draw writes the plots beside the report: benchmarks-rate.svg beside benchmarks.md.
func (c *compareCmd) draw(out *compare.Outcome) error {
	base := strings.TrimSuffix(c.Write, filepath.Ext(c.Write))
	for _, chart := range out.Charts() {
		file := base + "-" + chart.Name + ".svg"
		if err := os.WriteFile(file, []byte(chart.SVG()), 0o644); err != nil {
			return err
		}
		out.Plots = append(out.Plots, filepath.Base(file))
	}
	return nil
}

// commandLine is what a reader types to get the same tables. It leaves out folders, which differ on each machine.
func (c *compareCmd) commandLine() string {
	sessions := strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Sessions), " ", ","), "[]")
	s := fmt.Sprintf("mailbench compare --systems %s --sessions %s --seconds %v --pairs %d --size %d --users %d --retries %d --traced %d "+
		"--mailbox %d --read-time %v --crowd %d --big-size %d --big-count %d", strings.Join(c.Systems, ","), sessions,
		time.Duration(c.Seconds).Seconds(), c.Pairs, c.Size, c.Users, c.Retries, c.Traced, c.Mailbox, time.Duration(c.ReadTime).Seconds(),
		c.Crowd, c.BigSize, c.BigCount)
	if c.NoRelay {
		s += " --no-relay"
	}
	if len(c.Only) > 0 {
		s += " --only " + strings.Join(c.Only, ",")
	}
	for _, set := range c.Set {
		s += " --set '" + set + "'"
	}
	return s
}

func unique(list []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			out = append(out, s)
		}
		seen[s] = true
	}
	return out
}
