package main

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/admin"
)

// A group is an address with members, accounts here or addresses elsewhere. The directory keeps it as an alias with several
// targets: the commands of both see the same things.
type (
	groupCmd struct {
		Add    groupAddCmd    `cmd:"" help:"Add a group."`
		List   groupListCmd   `cmd:"" help:"List groups: aliases with more than one target."`
		Show   groupShowCmd   `cmd:"" help:"Show the members of a group."`
		Set    groupSetCmd    `cmd:"" help:"Replace the members of a group, or add and remove some."`
		Remove groupRemoveCmd `cmd:"" help:"Remove a group. Its members stay what they are."`
	}
	groupAddCmd struct {
		Address string   `arg:"" help:"The group's address, in one of our domains."`
		Members []string `arg:"" name:"member" help:"Addresses that its mail goes to."`
	}
	groupListCmd struct {
		Domain string `arg:"" optional:"" help:"Only those of this domain."`
	}
	groupShowCmd struct {
		Address string `arg:"" help:"The group's address."`
	}
	groupSetCmd struct {
		Address string   `arg:"" help:"The group's address."`
		Members []string `arg:"" optional:"" name:"member" help:"The members, in the place of those that it has."`
		Add     []string `help:"A further member. May be repeated." placeholder:"MEMBER"`
		Remove  []string `help:"One that is no member any more. May be repeated." placeholder:"MEMBER"`
	}
	groupRemoveCmd struct {
		Address string `arg:"" help:"The group's address."`
	}
)

func (c groupAddCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		g, err := api.AddAlias(ctx, admin.Alias{Address: c.Address, Targets: c.Members})
		if err != nil {
			return err
		}
		return a.done(g, "group %s added: %s", g.Address, strings.Join(g.Targets, ", "))
	})
}

func (c groupListCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		list, err := api.Aliases(ctx, c.Domain)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(g admin.Alias) bool { return len(g.Targets) < 2 })
		return a.show(list, func(w io.Writer) {
			t := newTable("GROUP", "MEMBERS")
			for _, g := range list {
				t.row(g.Address, strings.Join(g.Targets, ", "))
			}
			t.write(a, w, "No groups.")
		})
	})
}

func (c groupShowCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		g, err := api.Alias(ctx, c.Address)
		if err != nil {
			return err
		}
		return a.show(g, func(w io.Writer) {
			pairs := []string{"group", g.Address, "added", shortTime(g.Created)}
			for _, m := range g.Targets {
				pairs = append(pairs, "member", m)
			}
			a.facts(w, pairs...)
		})
	})
}

func (c groupSetCmd) Run(a *app) error {
	if len(c.Members) > 0 && len(c.Add)+len(c.Remove) > 0 {
		return usagef("give the members, or --add and --remove: not both")
	}
	if len(c.Members)+len(c.Add)+len(c.Remove) == 0 {
		return usagef("group set wants members, --add or --remove")
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		g, err := api.Alias(ctx, c.Address)
		if err != nil {
			return err
		}
		members := c.Members
		if len(members) == 0 {
			if members, err = changed(g, c.Add, c.Remove); err != nil {
				return err
			}
		}
		g, err = api.SetAlias(ctx, admin.Alias{Address: c.Address, Targets: members})
		if err != nil {
			return err
		}
		return a.done(g, "group %s set: %s", g.Address, strings.Join(g.Targets, ", "))
	})
}

// changed is a group's members with some more and some less.
func changed(g admin.Alias, add, remove []string) ([]string, error) {
	members := slices.Clone(g.Targets)
	for _, m := range remove {
		i := slices.IndexFunc(members, func(have string) bool { return strings.EqualFold(have, m) })
		if i < 0 {
			return nil, withCode(exitNoUser, "%s is no member of %s; it has %s", m, g.Address, strings.Join(g.Targets, ", "))
		}
		members = slices.Delete(members, i, i+1)
	}
	for _, m := range add {
		if !slices.ContainsFunc(members, func(have string) bool { return strings.EqualFold(have, m) }) {
			members = append(members, m)
		}
	}
	if len(members) == 0 {
		return nil, withCode(exitData, "%s would have no member; postrider group remove %[1]s removes the group", g.Address)
	}
	return members, nil
}

func (c groupRemoveCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		if err := api.RemoveAlias(ctx, c.Address); err != nil {
			return err
		}
		return a.done(removed{c.Address}, "group %s removed", c.Address)
	})
}
