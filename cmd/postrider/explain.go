package main

import (
	"context"
	"fmt"
	"io"

	"github.com/postrider/postrider/internal/admin"
)

type explainCmd struct {
	From    string   `help:"The sender; <> is the null sender." required:"" placeholder:"ADDRESS"`
	To      []string `help:"A recipient. May be repeated." required:"" placeholder:"ADDRESS" sep:"none"`
	Client  string   `help:"The client's IP address." required:"" placeholder:"IP"`
	Name    *string  `help:"The client's host name; empty for one that has none. Default: what the DNS says." placeholder:"HOST"`
	Helo    string   `help:"What it says in EHLO. Default: its name or address." placeholder:"HOST"`
	Auth    string   `help:"The account that has logged in." placeholder:"ADDRESS"`
	TLS     bool     `name:"tls" help:"The session is under TLS. It is with --auth."`
	Service string   `help:"smtp, submission, submissions or lmtp. Default: submission with --auth, else smtp." placeholder:"SERVICE"`
	Size    int64    `help:"The size that MAIL announces, in bytes." placeholder:"N"`
}

func (c explainCmd) Run(a *app) error {
	q := admin.ExplainQuery{Service: c.Service, Client: c.Client, Name: c.Name, Helo: c.Helo, TLS: c.TLS || c.Auth != "", Auth: c.Auth, From: c.From, To: c.To, Size: c.Size}
	if q.From == "<>" {
		q.From = ""
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		x, err := api.Explain(ctx, q)
		if err != nil {
			return err
		}
		return a.show(x, func(w io.Writer) { explained(w, x) })
	})
}

// explained writes a dialogue with, under each command, the rules that were looked at, and where each copy would go.
func explained(w io.Writer, x admin.Explanation) {
	at := 0
	for _, s := range x.Stages {
		fmt.Fprintln(w, s.Command)
		for _, r := range s.Rules {
			fmt.Fprintf(w, "    %s: %s\n", r.Rule, r.Result)
		}
		fmt.Fprintf(w, "  %s\n", s.Reply)
		if len(s.Command) > 4 && s.Command[:4] == "RCPT" && !s.Refused && at < len(x.Recipients) {
			goes(w, x.Recipients[at])
			at++
		}
	}
	if x.Accepted {
		fmt.Fprintln(w, "The message itself would be asked for; checks, milters and filters of its content come behind that.")
	}
}

func goes(w io.Writer, r admin.ExplainedRecipient) {
	for _, rule := range r.Routes {
		fmt.Fprintf(w, "    %s: %s\n", rule.Rule, rule.Result)
	}
	for _, c := range r.Copies {
		where := c.Transport
		if c.NextHop != "" {
			where += " " + c.NextHop
		}
		if c.Sender != "" {
			where += ", from " + c.Sender
		}
		fmt.Fprintf(w, "    -> %s by %s\n", c.Address, where)
	}
}
