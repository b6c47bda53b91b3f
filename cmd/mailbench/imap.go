package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/work"
)

// accountFlags say who logs in, and where.
type accountFlags struct {
	User      []string `help:"User name; %d in it stands for the numbers 1 to --user-count. Sessions use them in turn. Repeatable."`
	UserCount int      `help:"How many names a %d stands for." default:"1"`
	passwordFlags
	tlsFlags
	Timeout time.Duration `help:"How long a command may take." default:"10m"`
}

func (f *accountFlags) target(addr string) (client.Target, []work.User, error) {
	t := client.Target{Addr: addr, Implicit: f.TLS, StartTLS: f.StartTLS, Timeout: f.Timeout}
	var err error
	if t.TLS, err = f.tlsFlags.config(addr); err != nil {
		return t, nil, err
	}
	if len(f.User) == 0 {
		return t, nil, nil // what needs one says so
	}
	password, err := f.password()
	if err != nil {
		return t, nil, err
	}
	names, err := load.ExpandRecipients(f.User, f.UserCount)
	var users []work.User
	for _, n := range names {
		users = append(users, work.User{Name: n, Password: password})
	}
	return t, users, err
}

// loopFlags are common to IMAP and POP3 workloads.
type loopFlags struct {
	Sessions   int   `help:"Sessions at the same time." default:"1"`
	Operations int64 `help:"How many operations in all, instead of a time."`
	Batch      int   `help:"Messages of one operation; 0 is what suits the workload." default:"0"`
	amountFlags
	accountFlags
	outputFlags
}

// run does a workload; what differs between the protocols is in o.
func (f *loopFlags) run(ctx context.Context, addr string, o work.Options) error {
	var err error
	if o.Target, o.Users, err = f.target(addr); err != nil {
		return usageError{err}
	}
	o.Sessions, o.Operations, o.Duration, o.Batch = f.Sessions, f.Operations, f.duration(f.Operations), f.Batch
	o.ServerPIDs = f.ServerPID
	if err := o.Check(); err != nil {
		return usageError{err}
	}
	show := newTerminal(os.Stderr, "operations")
	res, err := work.Run(ctx, o, show.load)
	show.clear()
	if err != nil {
		return err
	}
	return f.print(os.Stdout, res, func(w io.Writer) error { return printWork(w, res) })
}

type imapCmd struct {
	Workload string `arg:"" help:"login, select, fetch-flags, fetch-envelope, fetch-structure, fetch-bodies, search-unseen, search-subject, search-text, store, append or copy."`
	Addr     string `help:"Server: host:port, or the path of a unix socket." default:"127.0.0.1:10143"`
	Mailbox  string `help:"Mailbox; INBOX, and mailbench-appends for append."`
	To       string `help:"copy: where to. A mailbox that was not there is removed at the end." default:"mailbench-copies"`
	Query    string `help:"search-subject, search-text: the word; if not given, one that the command fill has put into one message of a hundred."`
	Expect   int64  `help:"search: how many messages must be found; 0 takes the first answer as the measure."`
	Size     int    `help:"append: bytes of a message." default:"10240"`
	loopFlags
}

func (c *imapCmd) Run(ctx context.Context) error {
	return c.run(ctx, c.Addr, work.Options{Protocol: "imap", Workload: c.Workload, Mailbox: c.Mailbox, To: c.To, Query: c.Query,
		Expect: c.Expect, Size: c.Size})
}

type pop3Cmd struct {
	Workload string `arg:"" help:"login, list (STAT, LIST and UIDL) or retr."`
	Addr     string `help:"Server: host:port, or the path of a unix socket." default:"127.0.0.1:10110"`
	loopFlags
}

func (c *pop3Cmd) Run(ctx context.Context) error {
	return c.run(ctx, c.Addr, work.Options{Protocol: "pop3", Workload: c.Workload})
}

type idleCmd struct {
	Protocol    string  `arg:"" optional:"" help:"imap (in IDLE), pop3 or smtp (after EHLO). pop3 and smtp wait before the login if no --user is given." default:"imap"`
	Addr        string  `help:"Server: host:port, or the path of a unix socket; without it, the port of quickstart."`
	Mailbox     string  `help:"imap: mailbox that is open." default:"INBOX"`
	Connections int     `help:"How many connections wait." default:"1000"`
	Sources     int     `help:"Come from this many addresses of 127.0.0.0/8 in turn, for limits on one address; the server must be on this machine." placeholder:"N"`
	Logins      int     `help:"Connections that are made at the same time." default:"32"`
	Seconds     seconds `help:"How long all wait: seconds, or a Go duration." default:"10"`
	Notify      bool    `help:"imap: then append a message to each mailbox and measure when each connection is told."`
	accountFlags
	outputFlags
}

func (c *idleCmd) Run(ctx context.Context) error {
	if c.Addr == "" {
		c.Addr = map[string]string{"smtp": "127.0.0.1:10025", "pop3": "127.0.0.1:10110"}[c.Protocol]
		if c.Addr == "" {
			c.Addr = "127.0.0.1:10143"
		}
	}
	o := work.CrowdOptions{Protocol: c.Protocol, Mailbox: c.Mailbox, Connections: c.Connections, Sources: c.Sources, Width: c.Logins,
		Hold: time.Duration(c.Seconds), Notify: c.Notify, ServerPIDs: c.ServerPID}
	var err error
	if o.Target, o.Users, err = c.target(c.Addr); err != nil {
		return usageError{err}
	}
	if err := o.Check(); err != nil {
		return usageError{err}
	}
	show := newTerminal(os.Stderr, "connections")
	res, err := work.Idle(ctx, o, show.load)
	show.clear()
	if err != nil {
		return err
	}
	return c.print(os.Stdout, res, func(w io.Writer) error { return printCrowd(w, res) })
}

type fillCmd struct {
	Addr     string `help:"IMAP server: host:port, or the path of a unix socket." default:"127.0.0.1:10143"`
	Mailbox  string `help:"Mailbox; it is made if it is not there." default:"INBOX"`
	Messages int64  `help:"How many messages to add." default:"10000"`
	Size     int    `help:"Bytes of a message." default:"10240"`
	Batch    int    `help:"Messages of one APPEND, where the server has MULTIAPPEND." default:"50"`
	Sessions int    `help:"Sessions at the same time." default:"1"`
	Seed     uint64 `help:"The same seed and size make the same messages." default:"1"`
	LMTP     string `name:"lmtp" help:"Deliver to this LMTP server instead of APPEND: host:port or path." placeholder:"ADDR"`
	Rcpt     string `help:"Recipient for --lmtp; the user name, if not given."`
	accountFlags
	outputFlags
}

func (c *fillCmd) Run(ctx context.Context) error {
	o := work.FillOptions{Mailbox: c.Mailbox, Messages: c.Messages, Size: c.Size, Batch: c.Batch, Sessions: c.Sessions, Seed: c.Seed,
		LMTP: c.LMTP, Rcpt: c.Rcpt, ServerPIDs: c.ServerPID}
	t, users, err := c.target(c.Addr)
	if err == nil && len(users) == 0 {
		err = errors.New("no user to log in as: --user")
	}
	if err != nil {
		return usageError{err}
	}
	for i, u := range users {
		o.Target, o.User = t, u
		if err := o.Check(); err != nil {
			return usageError{err}
		}
		show := newTerminal(os.Stderr, "messages")
		res, err := work.Fill(ctx, o, show.load)
		show.clear()
		if err != nil {
			return err
		}
		if err := c.print(os.Stdout, res, func(w io.Writer) error { return printFilled(w, users[i].Name, res) }); err != nil {
			return err
		}
	}
	return nil
}
