package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/submit"
)

// mailQueue is -bp and mailq: `postqueue -p`, which programs read, with its words and exit code; so is Postfix's sendmail. The
// queue is the operator's: submit.sock tells nobody of it.
func (a *app) mailQueue() int {
	p := &postfixTool{app: a, name: "postqueue", code: exitUnavailable}
	return p.end(p.lists((*app).listQueue))
}

// flushQueue is -q, -qI and -qR.
func (a *app) flushQueue(f admin.JobFilter) error {
	if len(f.IDs) == 1 {
		if _, err := queueid.Parse(f.IDs[0]); err != nil {
			return nil // none of ours: there is no such message
		}
	}
	return a.operateQueue(func(ctx context.Context, api admin.API) error {
		_, err := api.ChangeJobs(ctx, admin.JobsChange{Action: admin.Flush, Filter: f, All: f.IsZero()})
		return err
	})
}

// verify is -bv: it tells where mail for the recipients would go, and sends nothing.
func (a *app) verify(o *sendmailOptions) error {
	if len(o.recipients) == 0 {
		return usagef("-bv wants addresses")
	}
	c, err := a.load(nil)
	if err != nil {
		return err
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		unknown := 0
		for _, r := range o.recipients {
			to, err := submit.ParseAddress(r, c.Domain)
			if err != nil {
				return withCode(exitData, "%s: %w", r, err)
			}
			way, known, err := wayOf(ctx, api, to)
			if err != nil {
				return err
			}
			if !known {
				unknown++
			}
			fmt.Fprintf(a.stdout, "%s... %s\n", printable(to.String()), printable(way))
		}
		if unknown > 0 {
			return &codeError{exitNoUser, fmt.Errorf("%d of %d addresses receive no mail", unknown, len(o.recipients))}
		}
		return nil
	})
}

// wayOf tells in words where mail for an address goes.
func wayOf(ctx context.Context, api admin.API, to address.Address) (way string, known bool, err error) {
	domain, err := api.Domain(ctx, to.Domain)
	if admin.KindOf(err) == admin.NotFound {
		return "deliverable: leaves for " + to.Domain, true, nil
	}
	if err != nil {
		return "", false, err
	}
	base, _, _ := address.SplitDelimiter(to.Local, domain.Delimiter)
	for _, local := range []string{to.Local, base} { // the exact address comes first
		name := address.Address{Local: local, Domain: to.Domain}.String()
		if alias, err := api.Alias(ctx, name); err == nil {
			return "deliverable: alias for " + strings.Join(alias.Targets, ", "), true, nil
		} else if admin.KindOf(err) != admin.NotFound {
			return "", false, err
		}
		if _, err := api.Account(ctx, name); err == nil {
			return "deliverable: mailbox of " + name, true, nil
		} else if admin.KindOf(err) != admin.NotFound {
			return "", false, err
		}
	}
	if domain.CatchAll != "" {
		return "deliverable: catch-all " + domain.CatchAll, true, nil
	}
	return "User unknown", false, nil
}
