package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
)

// idsAtOnce is how many queue ids are in one call.
const idsAtOnce = 500

// filters are what the flags and ids say: one filter, or some where there are many ids.
func (c queueWhich) filters(a *app, now time.Time) (list []admin.JobFilter, err error) {
	f := admin.JobFilter{States: c.State, Sender: c.Sender, Recipient: c.Recipient, Site: c.Site, Transport: c.Transport, Classes: c.Class,
		Reason: c.Reason, Limit: c.Limit}
	if c.Domain != "" {
		f.Recipient = "@" + strings.TrimPrefix(c.Domain, "@")
	}
	if c.Older > 0 {
		f.Before = now.Add(-time.Duration(c.Older))
	}
	if c.Newer > 0 {
		f.After = now.Add(-time.Duration(c.Newer))
	}
	if c.Limit < 0 {
		return nil, usagef("--limit wants a number of messages")
	}
	ids, err := a.queueIDs(c.IDs)
	switch {
	case err != nil:
		return nil, err
	case len(c.IDs) == 0:
		return []admin.JobFilter{f}, nil
	case c.Limit > 0:
		return nil, usagef("name messages, or say --limit: not both")
	}
	for part := range slices.Chunk(ids, idsAtOnce) {
		f.IDs = part
		list = append(list, f)
	}
	return list, nil
}

// queueIDs puts the lines of standard input in the place of "-", where empty ones are passed over.
func (a *app) queueIDs(args []string) (ids []string, err error) {
	seen := map[string]bool{}
	add := func(id string) {
		if id = strings.TrimSpace(id); id != "" && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for _, arg := range args {
		if strings.TrimSpace(arg) == "" {
			return nil, usagef("a queue id is empty")
		}
		if arg != "-" {
			add(arg)
			continue
		}
		lines := bufio.NewScanner(a.stdin)
		for lines.Scan() {
			add(lines.Text())
		}
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func (c queueListCmd) Run(a *app) error { return c.list(a) }

func (c queueWhich) list(a *app) error {
	filters, err := c.filters(a, time.Now())
	if err != nil {
		return err
	}
	return a.operateQueue(func(ctx context.Context, api admin.API) error {
		out := a.newJobList()
		if len(filters) != 1 || !filters[0].IsZero() {
			out.none = "The queue has no such message."
		}
		seen := map[string]bool{}
		for _, f := range filters {
			err := api.Queue(ctx, f, func(j admin.Job) error {
				if len(f.IDs) > 0 {
					seen[j.ID] = true
				}
				return out.add(j)
			})
			if err != nil {
				return err
			}
		}
		return errors.Join(out.end(), c.missing(filters, seen))
	})
}

// missing tells which of the messages that were named are not there, or do not fit.
func (c queueWhich) missing(filters []admin.JobFilter, seen map[string]bool) error {
	var errs []error
	for _, f := range filters {
		ids := f.IDs
		f.IDs = nil
		for _, id := range ids {
			switch {
			case seen[id]:
			case f.IsZero():
				errs = append(errs, fmt.Errorf("no message %s in the queue", id))
			default:
				errs = append(errs, fmt.Errorf("no message %s in the queue that is as the flags say", id))
			}
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &codeError{exitNoUser, errors.Join(errs...)}
}

func sender(j admin.Job) string {
	if j.Sender == "" {
		return "<>"
	}
	return j.Sender
}

func reason(r admin.Recipient) string {
	if r.Reason == "" {
		return "-"
	}
	text := oneLine(r.Reason)
	if r.Relay == "" || r.Relay == "none" { // no host
		return text
	}
	return r.Relay + ": " + text
}

// oneLine is a reply of several lines in one.
func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\t", " ").Replace(s) }

func (c queueShowCmd) Run(a *app) error {
	return a.operateQueue(func(ctx context.Context, api admin.API) error {
		if c.Message {
			m, err := api.JobMessage(ctx, c.ID)
			if err != nil {
				return err
			}
			return a.printMessage(m)
		}
		j, err := api.Job(ctx, c.ID)
		if err != nil {
			return err
		}
		return a.show(j, func(w io.Writer) { a.showJob(w, j) })
	})
}

func (a *app) showJob(w io.Writer, j admin.Job) {
	pairs := []string{"queue id", j.ID, "state", j.State, "arrived", shortTime(j.Arrival), "size", shortSize(j.Size), "from", sender(j)}
	add := func(name, value string) {
		if value != "" {
			pairs = append(pairs, name, value)
		}
	}
	add("held for", j.Held)
	if e := j.Envelope; e != nil {
		add("client", clientText(e.Client))
		add("login", e.Client.Login)
		add("protocol", e.Client.Protocol)
		add("tls", e.Client.TLS)
		add("caused by", e.Cause)
		add("envelope id", e.EnvID)
		add("body", e.Body)
		for name, on := range map[string]bool{"smtputf8": e.UTF8, "require tls": e.RequireTLS, "bulk": e.Bulk} {
			if on {
				add(name, "yes")
			}
		}
		if e.Priority != 0 {
			add("priority", strconv.Itoa(e.Priority))
		}
		if !e.NotBefore.IsZero() {
			add("not before", shortTime(e.NotBefore))
		}
		if !e.DeliverBy.IsZero() {
			add("deliver by", shortTime(e.DeliverBy))
		}
	}
	a.facts(w, pairs...)
	for _, r := range j.Recipients {
		fmt.Fprintln(w)
		next := "-"
		if r.Next != nil {
			next = shortTime(*r.Next)
		}
		a.facts(w, "to", r.Address, "transport", r.Transport, "route", r.Route, "site", r.Site, "attempts", strconv.Itoa(r.Attempts),
			"next attempt", next, "status", r.Status, "class", r.Class, "relay", r.Relay, "reply", oneLine(r.Reason))
	}
}

func clientText(c admin.EnvelopeClient) string {
	if c.Address == "" {
		return ""
	}
	text := dash(c.Name) + " [" + c.Address + "]"
	if c.Helo != "" {
		text += ", helo " + c.Helo
	}
	return text
}

// Run of flush without anything means all that waits.
func (c queueFlushCmd) Run(a *app) error {
	if len(c.IDs) == 0 {
		c.All = true
	}
	return c.change(a, admin.JobsChange{Action: admin.Flush}, "due now")
}

func (c queueDeleteCmd) Run(a *app) error {
	return c.change(a, admin.JobsChange{Action: admin.Delete}, "deleted")
}

func (c queueHoldCmd) Run(a *app) error {
	return c.change(a, admin.JobsChange{Action: admin.Hold}, "held")
}

func (c queueReleaseCmd) Run(a *app) error {
	return c.change(a, admin.JobsChange{Action: admin.Release}, "released")
}

func (c queueRequeueCmd) Run(a *app) error {
	return c.change(a, admin.JobsChange{Action: admin.Requeue}, "queued again")
}

func (c queueBounceCmd) Run(a *app) error {
	return c.change(a, admin.JobsChange{Action: admin.Bounce, Text: c.Text}, "given up")
}

func (c queueRerouteCmd) Run(a *app) error {
	to := c.To
	if to == "mx" {
		to = ""
	}
	return c.change(a, admin.JobsChange{Action: admin.Reroute, NextHop: to, Transport: c.Transport}, "rerouted")
}

func (c queueSome) change(a *app, change admin.JobsChange, past string) error {
	filters, err := c.filters(a, time.Now())
	if err != nil {
		return err
	}
	all := filters
	if len(c.IDs) == 0 {
		rest := filters[0]
		rest.Limit = 0
		switch {
		case rest.IsZero() && !c.All:
			return usagef("name the messages by their queue ids or by flags such as --sender and --domain, or say --all")
		case !rest.IsZero() && c.All && change.Action != admin.Flush:
			return usagef("say which messages, or --all: not both")
		}
	} else if c.All {
		return usagef("name the messages, or say --all: not both")
	}
	if c.DryRun {
		return c.list(a)
	}
	return a.operateQueue(func(ctx context.Context, api admin.API) error {
		total, seen := admin.JobsChanged{}, map[string]bool{}
		for _, f := range all {
			change.Filter, change.All = f, c.All
			done, err := api.ChangeJobs(ctx, change)
			if err != nil {
				return err
			}
			total.Messages += done.Messages
			total.IDs = append(total.IDs, done.IDs...)
			for _, id := range done.IDs {
				seen[id] = true
			}
		}
		text := messages(total.Messages) + " " + past
		if busy := len(total.IDs) - total.Messages; busy > 0 && len(c.IDs) > 0 {
			text += fmt.Sprintf("; nothing was to be done with %d: on hold, being tried now, or gone", busy)
		}
		return errors.Join(a.done(total, "%s", text), c.missing(all, seen))
	})
}
