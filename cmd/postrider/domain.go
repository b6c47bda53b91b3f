package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/postrider/postrider/internal/admin"
)

func (c domainAddCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		d, err := api.AddDomain(ctx, admin.DomainChange{Name: c.Domain, CatchAll: c.CatchAll, Delimiter: c.Delimiter})
		if err != nil {
			return err
		}
		return a.done(d, "domain %s added", d.Name)
	})
}

func (domainListCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		list, err := api.Domains(ctx)
		if err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			t := newTable("DOMAIN", ">ACCOUNTS", ">ALIASES", "DELIMITER", "CATCH-ALL")
			for _, d := range list {
				t.row(d.Name, strconv.Itoa(d.Accounts), strconv.Itoa(d.Aliases), dash(d.Delimiter), dash(d.CatchAll))
			}
			t.write(a, w, "No domains.")
		})
	})
}

func (c domainShowCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		d, err := api.Domain(ctx, c.Domain)
		if err != nil {
			return err
		}
		return a.showDomain(d)
	})
}

func (c domainSetCmd) Run(a *app) error {
	if c.CatchAll == nil && c.Delimiter == nil {
		return usagef("nothing to change: say --catch-all or --delimiter")
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		d, err := api.SetDomain(ctx, admin.DomainChange{Name: c.Domain, CatchAll: c.CatchAll, Delimiter: c.Delimiter})
		if err != nil {
			return err
		}
		return a.showDomain(d)
	})
}

func (a *app) showDomain(d admin.Domain) error {
	return a.show(d, func(w io.Writer) {
		a.facts(w, "domain", d.Name, "accounts", strconv.Itoa(d.Accounts), "aliases", strconv.Itoa(d.Aliases),
			"delimiter", d.Delimiter, "catch-all", d.CatchAll, "added", shortTime(d.Created))
	})
}

func (c domainRemoveCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		if err := api.RemoveDomain(ctx, c.Domain); err != nil {
			return err
		}
		return a.done(removed{c.Domain}, "domain %s removed", c.Domain)
	})
}

// removed is what the commands that remove something say in JSON.
type removed struct {
	Removed string `json:"removed"`
}

// messages is a number of messages in words.
func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}
