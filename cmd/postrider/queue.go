package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/postrider/postrider/internal/admin"
)

func (queueListCmd) Run(a *app) error {
	return a.operateQueue(func(ctx context.Context, api admin.API) error {
		list, err := api.Queue(ctx)
		if err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			t := newTable("QUEUE ID", "STATE", "ARRIVED", ">SIZE", "FROM", "TO", "WHY IT WAITS")
			for _, j := range list {
				for i, r := range j.Recipients {
					if i > 0 {
						t.row("", "", "", "", "", r.Address, reason(r))
						continue
					}
					why := reason(r)
					if j.Held != "" {
						why = j.Held
					}
					t.row(j.ID, j.State, shortTime(j.Arrival), shortSize(j.Size), sender(j), r.Address, why)
				}
				if len(j.Recipients) == 0 {
					t.row(j.ID, j.State, shortTime(j.Arrival), shortSize(j.Size), sender(j), "-", "-")
				}
			}
			t.write(a, w, "The queue is empty.")
		})
	})
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
	if r.Relay == "" {
		return r.Reason
	}
	return r.Relay + ": " + r.Reason
}

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
		return a.show(j, func(w io.Writer) {
			a.facts(w, "queue id", j.ID, "state", j.State, "arrived", shortTime(j.Arrival), "size", shortSize(j.Size), "from", sender(j))
			if j.Held != "" {
				a.facts(w, "held for", j.Held)
			}
			for _, r := range j.Recipients {
				fmt.Fprintln(w)
				next := "-"
				if r.Next != nil {
					next = shortTime(*r.Next)
				}
				a.facts(w, "to", r.Address, "transport", r.Transport, "route", r.Route, "attempts", strconv.Itoa(r.Attempts),
					"next attempt", next, "status", r.Status, "relay", r.Relay, "reply", r.Reason)
			}
		})
	})
}

func (queueFlushCmd) Run(a *app) error {
	return a.operateQueue(func(ctx context.Context, api admin.API) error {
		n, err := api.Flush(ctx)
		if err != nil {
			return err
		}
		return a.done(n, "%s due now", messages(n.Messages))
	})
}

func (c queueDeleteCmd) Run(a *app) error { return c.change(a, admin.Delete, "deleted") }

func (c queueHoldCmd) Run(a *app) error { return c.change(a, admin.Hold, "held") }

func (c queueReleaseCmd) Run(a *app) error { return c.change(a, admin.Release, "released") }

func (c queueIDs) change(a *app, action admin.JobAction, past string) error {
	if c.All == (len(c.IDs) > 0) {
		return usagef("name the messages by their queue ids, or say --all")
	}
	return a.operateQueue(func(ctx context.Context, api admin.API) error {
		n, err := api.ChangeJobs(ctx, admin.JobsChange{Action: action, IDs: c.IDs, All: c.All})
		if err != nil {
			return err
		}
		return a.done(n, "%s %s", messages(n.Messages), past)
	})
}
