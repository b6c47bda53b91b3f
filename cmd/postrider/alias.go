package main

import (
	"context"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/admin"
)

func (c aliasAddCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		al, err := api.AddAlias(ctx, admin.Alias{Address: c.Address, Targets: c.Targets})
		if err != nil {
			return err
		}
		return a.done(al, "alias %s added: %s", al.Address, strings.Join(al.Targets, ", "))
	})
}

func (c aliasSetCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		al, err := api.SetAlias(ctx, admin.Alias{Address: c.Address, Targets: c.Targets})
		if err != nil {
			return err
		}
		return a.done(al, "alias %s set: %s", al.Address, strings.Join(al.Targets, ", "))
	})
}

func (c aliasListCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		list, err := api.Aliases(ctx, c.Domain)
		if err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			t := newTable("ALIAS", "TARGETS")
			for _, al := range list {
				t.row(al.Address, strings.Join(al.Targets, ", "))
			}
			t.write(a, w, "No aliases.")
		})
	})
}

func (c aliasShowCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		al, err := api.Alias(ctx, c.Address)
		if err != nil {
			return err
		}
		return a.show(al, func(w io.Writer) {
			pairs := []string{"alias", al.Address, "added", shortTime(al.Created)}
			for _, t := range al.Targets {
				pairs = append(pairs, "target", t)
			}
			a.facts(w, pairs...)
		})
	})
}

func (c aliasRemoveCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		if err := api.RemoveAlias(ctx, c.Address); err != nil {
			return err
		}
		return a.done(removed{c.Address}, "alias %s removed", c.Address)
	})
}
