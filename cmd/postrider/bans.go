package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
)

func (banListCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		list, err := api.Bans(ctx)
		if err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			t := newTable("NETWORK", "UNTIL", "ORIGIN", "SINCE", "REASON")
			for _, b := range list {
				t.row(b.Network, banUntil(b), b.Origin, shortTime(b.Since), dash(printable(b.Reason)))
			}
			t.write(a, w, "Nobody is banned.")
		})
	})
}

func banUntil(b admin.Ban) string {
	if b.Until == nil {
		return "for good"
	}
	return shortTime(*b.Until)
}

func (c banAddCmd) Run(a *app) error {
	change := admin.BanChange{Network: c.Network, Reason: c.Reason}
	if c.For != "" {
		var d config.Duration
		if err := d.UnmarshalText([]byte(c.For)); err != nil {
			return usagef("--for: %v", err)
		}
		if d.D() < time.Second {
			return usagef("--for: a ban lasts a second at least")
		}
		change.Seconds = int64(d.D() / time.Second)
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		b, err := api.AddBan(ctx, change)
		if err != nil {
			return err
		}
		until := banUntil(b)
		if b.Until != nil {
			until = "until " + until
		}
		return a.done(b, "%s is banned, %s", b.Network, until)
	})
}

func (c banRemoveCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		if err := api.RemoveBan(ctx, c.Network); err != nil {
			return err
		}
		return a.done(struct {
			Network string `json:"network"`
		}{c.Network}, "%s is let in again", c.Network)
	})
}

func (c banCheckCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		v, err := api.CheckBan(ctx, c.Address)
		if err != nil {
			return err
		}
		err = a.show(v, func(w io.Writer) {
			switch {
			case v.Banned:
				fmt.Fprintf(w, "%s is banned by %s, %s, %s: %s\n", v.Address, v.Ban.Network, banUntil(*v.Ban), v.Ban.Origin, dash(printable(v.Ban.Reason)))
			case v.Ban != nil:
				fmt.Fprintf(w, "%s is let in: it is in %s, though %s is banned\n", v.Address, v.Exempt, v.Ban.Network)
			case v.Exempt != "":
				fmt.Fprintf(w, "%s is let in, and never banned: it is in %s\n", v.Address, v.Exempt)
			default:
				fmt.Fprintf(w, "%s is let in\n", v.Address)
			}
		})
		if err == nil && v.Banned {
			return &codeError{code: 1}
		}
		return err
	})
}

func (limitsCmd) Run(a *app) error {
	return a.online(func(ctx context.Context, api admin.API) error {
		list, err := api.Usages(ctx)
		if err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			t := newTable("LIMIT", "WHO", ">USED", ">OF", "LOCKED OUT UNTIL")
			for _, u := range list {
				most, locked := "-", "-"
				if u.Most > 0 {
					most = strconv.FormatInt(u.Most, 10)
				}
				if u.Locked != nil {
					locked = shortTime(*u.Locked)
				}
				t.row(u.Limit, printable(u.Who), strconv.FormatInt(u.Used, 10), most, locked)
			}
			t.write(a, w, "Nobody has used up anything.")
		})
	})
}
