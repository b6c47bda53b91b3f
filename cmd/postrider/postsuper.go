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

// superAction is what a letter does somewhere.
type superAction struct {
	letter byte
	action admin.JobAction
	queues []string
	said   []string // of a message that is named
}

// superActions are in the order in which they are done.
func superActions() []superAction {
	live, held := []string{"incoming", "active", "deferred"}, []string{"hold"}
	every := append(held, live...)
	return []superAction{
		{'r', admin.Requeue, every, []string{"requeued"}},
		{'d', admin.Delete, every, []string{"removed"}},
		{'e', admin.Bounce, live, []string{"expired"}}, // on hold it would wait on; what is given up does not wait here
		{'f', admin.Bounce, live, []string{"expired"}},
		{'f', admin.Bounce, held, []string{"expired", "released from hold"}},
		{'h', admin.Hold, live, []string{"placed on hold"}},
		{'H', admin.Release, held, []string{"released from hold"}},
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
	ids, all := map[byte][]string{}, map[byte]bool{}
	for letter := range p.ids {
		var err error
		if ids[letter], all[letter], err = p.read(letter); err != nil {
			return err
		}
	}
	done := map[byte]int{}
	count := func(a superAction, n int) {
		if done[a.letter] += n; len(a.said) > 1 {
			done['H'] += n
		}
	}
	for _, a := range superActions() {
		for part := range slices.Chunk(ids[a.letter], idsAtOnce) {
			n, err := p.named(ctx, api, a, part)
			if err != nil {
				return err
			}
			count(a, n)
		}
	}
	for _, a := range superActions() {
		if all[a.letter] {
			changed, err := p.change(ctx, api, a, nil)
			if err != nil {
				return err
			}
			count(a, changed.Messages)
		}
	}
	p.report(done)
	return nil
}

// named does something with messages that are named, and tells of each in their order.
func (p *super) named(ctx context.Context, api admin.API, a superAction, names []string) (int, error) {
	var ids []string
	for _, name := range names {
		if _, err := queueid.Parse(name); err == nil { // else it is none of ours
			ids = append(ids, name)
		}
	}
	var changed admin.JobsChanged
	if len(ids) > 0 {
		var err error
		if changed, err = p.change(ctx, api, a, ids); err != nil {
			return 0, err
		}
	}
	for _, name := range names {
		switch {
		case !maybeID(name) && len(a.said) == 1: // of two parts of a letter the first tells
			p.warn("invalid mail queue id: %s", name)
		case slices.Contains(changed.IDs, name):
			for _, said := range a.said {
				fmt.Fprintf(p.stderr, "%s: %s: %s\n", p.name, name, said)
			}
		}
	}
	return changed.Messages, nil
}

// read gives the names behind a letter; "-" is the lines of standard input.
func (p *super) read(letter byte) (ids []string, all bool, err error) {
	seen := map[string]bool{}
	add := func(id string) {
		if id == "ALL" {
			all = true
		} else if !seen[id] || !maybeID(id) {
			seen[id] = true
			ids = append(ids, id)
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

// change does something with the messages that are named, or with all; in the queues that are named, and only there.
func (p *super) change(ctx context.Context, api admin.API, a superAction, ids []string) (done admin.JobsChanged, err error) {
	states := slices.Clone(a.queues)
	if p.only {
		states = slices.DeleteFunc(states, func(s string) bool { return !slices.Contains(p.queues, s) })
		if slices.Contains(p.queues, "corrupt") && a.letter == 'd' { // by its name only
			states = append(states, "corrupt")
		}
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

// report tells how many messages each letter has done something with.
func (p *super) report(done map[byte]int) {
	for _, line := range []struct {
		letters string // of which one is asked for
		text    string
		n       int
	}{
		{"r", "Requeued", done['r']}, {"d", "Deleted", done['d']}, {"ef", "Force-expired", done['e'] + done['f']},
		{"h", "Placed on hold", done['h']}, {"Hf", "Released from hold", done['H']},
	} {
		if !slices.ContainsFunc([]byte(line.letters), func(b byte) bool { return len(p.ids[b]) > 0 }) {
			continue
		}
		plural := "s"
		if line.n == 1 {
			plural = ""
		}
		fmt.Fprintf(p.stderr, "%s: %s: %d message%s\n", p.name, line.text, line.n, plural)
	}
}
