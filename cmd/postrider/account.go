package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
)

func (c accountAddCmd) Run(a *app) error {
	n := admin.NewAccount{Address: c.Address, NoLogin: c.NoLogin, Quota: int64(c.Quota)}
	system, err := c.systemUser()
	if err != nil {
		return err
	}
	if n.System = system; system == "" && !c.NoLogin || c.PasswordStdin || c.StoredStdin {
		p, err := a.newPassword(c.passwordFlags)
		if err != nil {
			return err
		}
		n.Password, n.Stored = p.Password, p.Stored
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		acc, err := api.AddAccount(ctx, n)
		if err != nil {
			return err
		}
		return a.done(acc, "account %s added", acc.Address)
	})
}

// systemUser is the system user that the account is for, "" for none.
func (c accountAddCmd) systemUser() (string, error) {
	if !c.System && c.User == "" {
		return "", nil
	}
	if c.PasswordStdin || c.StoredStdin || c.NoLogin {
		return "", usagef("--system goes with no password: the system has it")
	}
	if c.User != "" {
		return c.User, nil
	}
	local, _, _ := strings.Cut(c.Address, "@")
	return strings.ToLower(local), nil
}

func (c accountListCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		list, err := api.Accounts(ctx, c.Domain)
		if err != nil {
			return err
		}
		if c.Inactive > 0 {
			list = slices.DeleteFunc(list, func(acc admin.Account) bool { return !inactive(acc, time.Now().Add(-c.Inactive.D())) })
		}
		return a.show(list, func(w io.Writer) {
			t := newTable("ACCOUNT", ">MESSAGES", ">SIZE", ">QUOTA", "LOGIN", "LAST LOGIN")
			for _, acc := range list {
				last := "-"
				if len(acc.LastLogin) > 0 {
					last = shortTime(acc.LastLogin[0].At)
				}
				t.row(acc.Address, strconv.FormatInt(acc.Messages, 10), shortSize(acc.Bytes), quotaText(acc.Quota), yesNo(acc.Login), last)
			}
			t.write(a, w, "No accounts.")
		})
	})
}

// inactive tells whether nobody has logged in to an account since a time at which it was there.
func inactive(acc admin.Account, since time.Time) bool {
	return acc.Login && acc.Created.Before(since) && (len(acc.LastLogin) == 0 || acc.LastLogin[0].At.Before(since))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (c accountShowCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		acc, err := api.Account(ctx, c.Address)
		if err != nil {
			return err
		}
		return a.showAccount(acc)
	})
}

func loginText(acc admin.Account) string {
	if acc.System != "" && acc.Login {
		return "as the system user " + acc.System
	}
	return yesNo(acc.Login)
}

func lastLoginText(acc admin.Account) string {
	var words []string
	for _, l := range acc.LastLogin {
		words = append(words, fmt.Sprintf("%s %s from %s", shortTime(l.At), l.Service, l.Client))
	}
	return dash(strings.Join(words, "; "))
}

func (a *app) showAccount(acc admin.Account) error {
	return a.show(acc, func(w io.Writer) {
		a.facts(w, "account", acc.Address, "login", loginText(acc), "messages", strconv.FormatInt(acc.Messages, 10),
			"size", shortSize(acc.Bytes), "quota", quotaText(acc.Quota), "added", shortTime(acc.Created), "last login", lastLoginText(acc))
	})
}

func (c accountSetCmd) Run(a *app) error {
	if c.Login == nil && c.Quota == nil {
		return usagef("nothing to change: say --login, --no-login or --quota")
	}
	change := admin.AccountChange{Address: c.Address, Login: c.Login, Quota: (*int64)(c.Quota)}
	return a.operate(func(ctx context.Context, api admin.API) error {
		acc, err := api.SetAccount(ctx, change)
		if err != nil {
			return err
		}
		return a.showAccount(acc)
	})
}

func (c accountPasswordCmd) Run(a *app) error {
	password, err := a.newPassword(c.passwordFlags)
	if err != nil {
		return err
	}
	password.Address = c.Address
	return a.operate(func(ctx context.Context, api admin.API) error {
		if err := api.SetPassword(ctx, password); err != nil {
			return err
		}
		return a.done(struct {
			Address string `json:"address"`
		}{c.Address}, "password of %s changed", c.Address)
	})
}

func (c accountRemoveCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		if err := api.RemoveAccount(ctx, c.Address); err != nil {
			return err
		}
		return a.done(removed{c.Address}, "account %s removed, with its mail", c.Address)
	})
}
