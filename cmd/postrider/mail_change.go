package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"golang.org/x/term"
)

// changeMail does a change and tells how many messages it was done to. Messages named by UID must be there.
func (a *app) changeMail(c admin.MailChange, where mailWhere, which mailWhich, past string) error {
	q, exact, err := where.query(which)
	if err != nil {
		return err
	}
	c.MailQuery = q
	return a.operate(func(ctx context.Context, api admin.API) error {
		if exact {
			if err := someMatch(ctx, api, q); err != nil {
				return err
			}
		}
		n, err := api.ChangeMail(ctx, c)
		if err != nil {
			return err
		}
		return a.done(n, "%s %s", messages(n.Messages), past)
	})
}

// someMatch fails if nothing matches.
func someMatch(ctx context.Context, api admin.API, q admin.MailQuery) error {
	n, err := count(ctx, api, q)
	if err == nil && n == 0 {
		err = noneMatch(q)
	}
	return err
}

func noneMatch(q admin.MailQuery) error {
	return withCode(exitNoUser, "%s has no such message in %s (%s)", q.Account, q.Mailbox, strings.ToLower(q.Criteria))
}

func count(ctx context.Context, api admin.API, q admin.MailQuery) (n int, err error) {
	err = api.SearchMail(ctx, q, func(admin.Found) error { n++; return nil })
	return n, err
}

func (c mailFlagsAddCmd) Run(a *app) error     { return c.change(a, admin.AddFlags) }
func (c mailFlagsRemoveCmd) Run(a *app) error  { return c.change(a, admin.RemoveFlags) }
func (c mailFlagsReplaceCmd) Run(a *app) error { return c.change(a, admin.ReplaceFlags) }

func (c mailFlagsChange) change(a *app, action admin.MailAction) error {
	return a.changeMail(admin.MailChange{Action: action, Flags: flagWords(c.Flags)}, c.mailWhere, c.mailWhich, "changed")
}

// flagWords reads flags, the system's with or without their backslash: the shell eats it where it is not quoted.
func flagWords(s string) []string {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	for i, w := range words {
		switch strings.ToLower(w) {
		case "seen", "answered", "flagged", "deleted", "draft":
			words[i] = `\` + w
		}
	}
	return words
}

func (c mailMoveCmd) Run(a *app) error { return c.change(a, admin.Move, "moved to "+c.To) }
func (c mailCopyCmd) Run(a *app) error { return c.change(a, admin.Copy, "copied to "+c.To) }

func (c mailTo) change(a *app, action admin.MailAction, past string) error {
	return a.changeMail(admin.MailChange{Action: action, To: c.To, Create: c.Create}, c.mailWhere, c.mailWhich, past)
}

func (c mailExpungeCmd) Run(a *app) error {
	q, _, err := c.query(c.mailWhich)
	if err != nil {
		return err
	}
	if !c.Yes && !term.IsTerminal(int(a.stdin.Fd())) {
		return usagef("standard input is no terminal to ask on: add --yes to remove the messages for good; `postrider mail search` shows which they are")
	}
	if !c.Yes {
		if agreed, err := a.confirmExpunge(q); err != nil || !agreed {
			return err
		}
	}
	return a.changeMail(admin.MailChange{Action: admin.Expunge}, c.mailWhere, c.mailWhich, "removed")
}

// confirmExpunge asks before messages go.
func (a *app) confirmExpunge(q admin.MailQuery) (agreed bool, err error) {
	var n int
	if err := a.operate(func(ctx context.Context, api admin.API) (err error) { n, err = count(ctx, api, q); return err }); err != nil {
		return false, err
	}
	if n == 0 {
		return true, nil // it will say so
	}
	fmt.Fprintf(a.stderr, "Remove %s of %s in %s for good? [y/N] ", messages(n), printable(q.Account), printable(q.Mailbox))
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil {
		return false, err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return false, withCode(exitData, "nothing is removed")
	}
	return true, nil
}
