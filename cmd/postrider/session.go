package main

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/postrider/postrider/internal/admin"
)

func (f sessionFilter) query() admin.SessionQuery {
	return admin.SessionQuery{Account: f.Account, Service: f.Service, Client: f.Client}
}

// online runs fn on the API of the running server.
func (a *app) online(fn func(ctx context.Context, api admin.API) error) error {
	c, err := a.load(nil)
	if err != nil {
		return err
	}
	ctx := context.Background()
	client, err := admin.Dial(ctx, c.RunDir)
	if errors.Is(err, admin.ErrNoServer) {
		return withCode(exitUnavailable, "no server runs on %s, so there is nothing to see", c.DataDir)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	return fn(ctx, client)
}

func (c sessionListCmd) Run(a *app) error {
	return a.online(func(ctx context.Context, api admin.API) error {
		list, err := api.Sessions(ctx, c.query())
		if err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			t := newTable("SESSION", "SERVICE", "CLIENT", "ACCOUNT", "TLS", "SINCE", "LAST COMMAND", ">COMMANDS", ">IN", ">OUT")
			for _, s := range list {
				account := dash(s.Account)
				if s.Master != "" {
					account += " (by " + s.Master + ")"
				}
				t.row(s.ID, s.Service, s.Client, account, yesNo(s.TLS != ""), shortTime(s.Since), dash(s.Command), strconv.Itoa(s.Commands),
					shortSize(s.In), shortSize(s.Out))
			}
			t.write(a, w, "No sessions.")
		})
	})
}

func (c sessionKickCmd) Run(a *app) error {
	q := c.query()
	q.IDs, q.Reason = c.IDs, c.Reason
	if len(q.IDs) == 0 && q.Account == "" && q.Service == "" && q.Client == "" {
		return usagef("name sessions by their ids, or say --account, --service or --client")
	}
	return a.online(func(ctx context.Context, api admin.API) error {
		n, err := api.Kick(ctx, q)
		if err != nil {
			return err
		}
		word := "sessions"
		if n.Sessions == 1 {
			word = "session"
		}
		return a.done(n, "%d %s ended", n.Sessions, word)
	})
}
