package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// postsuper is Postfix's command of that name: it deletes, holds, releases, requeues and gives up messages, by their ids or
// ALL. docs/postfix-commands.md has what differs.
func postsuper(a *app, args []string) int {
	p := &super{postfixTool: postfixTool{app: a, name: "postsuper", code: 1, usage: "postsuper [-c config_dir] [-d queue_id (delete)] " +
		"[-e queue_id (expire)] [-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] " +
		"[-r queue_id (requeue)] [-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] [queue...]"}}
	return p.end(reserved(p.run(args)))
}

// super is one run of postsuper.
type super struct {
	postfixTool
	ids    map[byte][]string
	queues []string // states that are named; none: all
	only   bool     // queues are named
}

// superAction is what a letter does, in the order in which results are told.
type superAction struct {
	letter byte
	action admin.JobAction
	queues []string // where it looks
	said   string   // of a message that is named
}

func superActions() []superAction {
	live := []string{"incoming", "active", "deferred"}
	every := []string{"hold", "incoming", "active", "deferred"}
	return []superAction{
		{'r', admin.Requeue, every, "requeued"},
		{'d', admin.Delete, every, "removed"},
		{'e', admin.Bounce, every, "expired"},
		{'f', admin.Bounce, every, "expired"},
		{'h', admin.Hold, live, "placed on hold"},
		{'H', admin.Release, []string{"hold"}, "released from hold"},
	}
}

// expiredText is what the sender of a message is told that was given up by -e or -f.
const expiredText = "5.4.7 message is administratively expired"

func (p *super) run(args []string) error {
	options, operands, err := p.options(args, "c:d:e:f:h:H:pr:sSv")
	if err != nil {
		return err
	}
	p.ids = map[byte][]string{}
	for _, o := range options {
		if strings.IndexByte("defhHr", o.letter) >= 0 {
			p.ids[o.letter] = append(p.ids[o.letter], o.value)
		}
	}
	for _, name := range operands {
		state, ok := queueState(name)
		if !ok {
			return fmt.Errorf("invalid directory name: %s", name)
		}
		p.only = true
		if state != "" {
			p.queues = append(p.queues, state)
		}
	}
	if err := p.place(options); err != nil {
		return err
	}
	if len(p.ids) == 0 {
		return nil // -s, -S and -p look after files, and messages are none here
	}
	return p.operateQueue(p.work)
}

// work does all that is asked for: the messages that are named, then ALL.
func (p *super) work(ctx context.Context, api admin.API) error {
	counts, all := map[byte]int{}, map[byte]bool{}
	for _, a := range superActions() {
		ids, everything, err := p.read(a.letter)
		if err != nil {
			return err
		}
		all[a.letter] = everything
		if counts[a.letter], err = p.named(ctx, api, a, ids); err != nil {
			return err
		}
	}
	for _, a := range superActions() {
		if !all[a.letter] {
			continue
		}
		n, err := p.change(ctx, api, a, nil)
		if err != nil {
			return err
		}
		counts[a.letter] += n.Messages
	}
	p.report(counts)
	return nil
}

// read gives the ids behind a letter; "-" is the lines of standard input.
func (p *super) read(letter byte) (ids []string, all bool, err error) {
	seen := map[string]bool{}
	add := func(id string) {
		switch {
		case id == "ALL":
			all = true
		case !maybeID(id):
			p.warn("invalid mail queue id: %s", id)
		case !seen[id]:
			seen[id] = true
			if _, err := queueid.Parse(id); err == nil { // else none of ours
				ids = append(ids, id)
			}
		}
	}
	for _, value := range p.ids[letter] {
		if value != "-" {
			add(value)
			continue
		}
		lines := bufio.NewScanner(p.stdin)
		for lines.Scan() {
			add(lines.Text())
		}
		if err := lines.Err(); err != nil {
			return nil, false, err
		}
	}
	return ids, all, nil
}

// named does something with messages by their ids, and tells of each.
func (p *super) named(ctx context.Context, api admin.API, a superAction, ids []string) (n int, err error) {
	for part := range slices.Chunk(ids, idsAtOnce) {
		done, err := p.change(ctx, api, a, part)
		if err != nil {
			return n, err
		}
		for _, id := range done.IDs {
			fmt.Fprintf(p.stderr, "%s: %s: %s\n", p.name, id, a.said)
		}
		n += done.Messages
	}
	return n, nil
}

// change does something with the messages that are named, or with all; in the queues that are named, and only there.
func (p *super) change(ctx context.Context, api admin.API, a superAction, ids []string) (done admin.JobsChanged, err error) {
	states := slices.Clone(a.queues)
	if p.only {
		states = slices.DeleteFunc(states, func(s string) bool { return !slices.Contains(p.queues, s) })
		if slices.Contains(p.queues, "corrupt") && a.letter != 'h' { // by its name only
			states = append(states, "corrupt")
		}
	}
	if a.letter == 'e' { // it would wait until it is released; here nothing waits that is given up
		states = slices.DeleteFunc(states, func(s string) bool { return s == "hold" })
	}
	if len(states) == 0 {
		return done, nil
	}
	c := admin.JobsChange{Action: a.action, Filter: admin.JobFilter{IDs: ids, States: states}}
	if a.action == admin.Bounce {
		c.Text = expiredText
	}
	return api.ChangeJobs(ctx, c)
}

func (p *super) report(counts map[byte]int) {
	asked := func(letters string) (n int, yes bool) {
		for i := range letters {
			if len(p.ids[letters[i]]) > 0 {
				n, yes = n+counts[letters[i]], true
			}
		}
		return n, yes
	}
	for _, line := range []struct{ letters, text string }{
		{"r", "Requeued"}, {"d", "Deleted"}, {"ef", "Force-expired"}, {"h", "Placed on hold"}, {"H", "Released from hold"},
	} {
		n, yes := asked(line.letters)
		if _, f := asked("f"); line.letters == "H" && f {
			yes = true
		}
		if !yes {
			continue
		}
		plural := "s"
		if n == 1 {
			plural = ""
		}
		fmt.Fprintf(p.stderr, "%s: %s: %d message%s\n", p.name, line.text, n, plural)
	}
}
