package main

import (
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

type compareCmd struct {
	Systems   []string      `help:"Systems, the one that the report is about first: postrider, maildir, mdbox, maildir-noflow, mdbox-noflow (Postfix + Dovecot, with in_flow_delay=0)." default:"postrider,maildir,mdbox,maildir-noflow,mdbox-noflow"`
	Sessions  []int         `help:"Numbers of sessions." default:"1,50"`
	Seconds   seconds       `help:"Load of one run: seconds, or a Go duration." default:"10"`
	Pairs     int           `help:"Turns of every system for each number of sessions." default:"2"`
	Size      int           `help:"Bytes of a message." default:"10240"`
	Users     int           `help:"Users that the mail is for." default:"40"`
	Retries   int           `help:"Repetitions of a run during which the disk changed." default:"2"`
	Traced    int           `help:"Messages to count syncs of, under strace; 0 leaves it out." default:"100"`
	Mailbox   int           `help:"Messages of the mailbox that IMAP workloads read; 0 leaves IMAP out." default:"10000"`
	Limit     time.Duration `help:"Time for everything; what there is then is reported." default:"45m"`
	Dir       string        `help:"Folder on the disk to measure; a new one is made in it, and removed." default:"/var/tmp" type:"existingdir"`
	Postrider string        `help:"Postrider's program." default:"bin/postrider"`
	Set       []string      `help:"key=value for Postrider (--set). Repeatable." sep:"none"`
	Note      string        `help:"A remark for the top of the report."`
	Write     string        `help:"File that the report is written to, in Markdown; two plots are written beside it." placeholder:"FILE"`
	JSON      bool          `name:"json" help:"Print everything as JSON."`
	Keep      bool          `help:"Leave the folder of the systems, with their logs."`
}

func (c *compareCmd) Run(ctx context.Context) (err error) {
	if os.Getuid() != 0 {
		return usageError{errors.New("compare runs Postfix and Dovecot, which only root can")}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Limit, fmt.Errorf("the limit of %v is over", c.Limit))
	defer cancel()
	dir, err := os.MkdirTemp(c.Dir, "mailbench")
	if err != nil {
		return err
	}
	if !c.Keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the systems run as users of their own
		return err
	}
	systems, err := c.systems(dir)
	if err != nil {
		return err
	}
	show := newTerminal(os.Stderr, "messages")
	out, err := compare.All(ctx, compare.Options{
		Dir: dir, Systems: systems, Sessions: c.Sessions, Duration: time.Duration(c.Seconds), Pairs: c.Pairs,
		Users: c.Users, Size: c.Size, Retries: c.Retries, Traced: c.Traced, Stall: 30 * time.Second,
		Readers: c.readers(systems), Mailbox: c.Mailbox,
		Say: show.line,
		Show: func(label string, s load.Snapshot) {
			show.label = label
			show.load(s)
		},
	})
	show.clear()
	if err != nil {
		return err
	}
	return c.report(out)
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
			s = peer.NewStack(peer.StackOptions{Dir: at, Users: c.Users, Format: peer.Format(format), NoFlow: noFlow})
		case "postrider":
			program, err := filepath.Abs(c.Postrider)
			if err != nil {
				return nil, err
			}
			s = peer.NewPostrider(peer.PostriderOptions{Program: program, Dir: at, Users: c.Users, Set: c.Set})
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

// commandLine is what a reader types to get the same table. It leaves out folders, which differ on each machine.
func (c *compareCmd) commandLine() string {
	sessions := strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Sessions), " ", ","), "[]")
	s := fmt.Sprintf("mailbench compare --systems %s --sessions %s --seconds %v --pairs %d --size %d --users %d --mailbox %d",
		strings.Join(c.Systems, ","), sessions, time.Duration(c.Seconds).Seconds(), c.Pairs, c.Size, c.Users, c.Mailbox)
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
