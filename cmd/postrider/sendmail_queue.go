package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/submit"
)

// mailQueue is -bp and mailq: the queue in the form of Postfix's `postqueue -p`, which programs read. The queue is the
// operator's: submit.sock tells nobody of it.
func (a *app) mailQueue() error {
	return a.operateQueue(func(ctx context.Context, api admin.API) error {
		list, err := api.Queue(ctx)
		if err != nil {
			return err
		}
		w := bufio.NewWriter(a.stdout)
		writeQueue(w, list)
		return w.Flush()
	})
}

const queueLine = "%-17s %8v %-19s %s\n"

func writeQueue(w io.Writer, list []admin.Job) {
	if len(list) == 0 {
		fmt.Fprintln(w, "Mail queue is empty")
		return
	}
	fmt.Fprintf(w, queueLine, "----Queue ID-----", "--Size--", "---Arrival Time----", "--Sender/Recipient------")
	total := int64(0)
	for _, j := range list {
		mark := ""
		switch j.State {
		case "active":
			mark = "*"
		case "hold":
			mark = "!"
		}
		from := j.Sender
		if from == "" {
			from = "MAILER-DAEMON" // as Postfix shows the null reverse-path
		}
		fmt.Fprintf(w, queueLine, j.ID+mark, j.Size, j.Arrival.Local().Format("Mon Jan _2 15:04:05"), printable(from))
		why := ""
		for _, r := range j.Recipients {
			if reason := reason(r); r.Reason != "" && reason != why {
				why = reason
				fmt.Fprintf(w, "%*s(%s)\n", max(0, 76-len(why)), "", printable(why))
			}
			fmt.Fprintf(w, queueLine, "", "", "", printable(r.Address))
		}
		fmt.Fprintln(w)
		total += j.Size
	}
	plural := "s"
	if len(list) == 1 {
		plural = ""
	}
	fmt.Fprintf(w, "-- %d Kbytes in %d Request%s.\n", total/1024, len(list), plural)
}

// flushQueue is -q.
func (a *app) flushQueue() error {
	return a.operateQueue(func(ctx context.Context, api admin.API) error {
		_, err := api.Flush(ctx)
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
