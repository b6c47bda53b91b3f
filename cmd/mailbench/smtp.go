package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/work"
)

// sendFlags are what all commands that send have in common.
type sendFlags struct {
	Sessions int   `help:"Sessions at the same time." default:"10"`
	Messages int64 `help:"How many messages to send in all, instead of a time."`
	Size     []int `help:"Bytes of a message, header included; several are used in turn." default:"10240"`
	amountFlags

	From            string   `help:"Envelope sender; empty is the null reverse-path." default:"bench@mailbench.invalid"`
	Rcpt            []string `help:"Recipient; %d in it stands for the numbers 1 to --rcpt-count. Used in turn. Repeatable." default:"alice@example.test"`
	RcptCount       int      `help:"How many addresses a %d stands for." default:"1"`
	RcptPerMessage  int      `help:"Recipients of one message." default:"1"`
	MessagesPerConn int      `name:"messages-per-connection" help:"Messages over one connection; 0 is no limit." default:"0"`
	Helo            string   `help:"Name to greet with." default:"mailbench.invalid"`
	NoPipelining    bool     `help:"Wait for each reply even if PIPELINING is offered."`
	tlsFlags
	Auth string `help:"User name for AUTH PLAIN or LOGIN."`
	passwordFlags
	ReplyTimeout time.Duration `help:"How long to wait for a reply." default:"5m"`
	outputFlags
}

func (c *sendFlags) config(addr string, lmtp bool) (load.Config, error) {
	rcpts, err := load.ExpandRecipients(c.Rcpt, c.RcptCount)
	if err != nil {
		return load.Config{}, err
	}
	cfg := load.Config{
		Addr: addr, LMTP: lmtp, Sessions: c.Sessions, Duration: c.duration(c.Messages), Messages: c.Messages, Sizes: c.Size,
		From: c.From, Recipients: rcpts, PerMessage: c.RcptPerMessage, PerConnection: c.MessagesPerConn, Helo: c.Helo,
		NoPipelining: c.NoPipelining, StartTLS: c.StartTLS, ImplicitTLS: c.TLS, Username: c.Auth,
		ReplyTimeout: c.ReplyTimeout, ServerPIDs: c.ServerPID,
	}
	if cfg.TLS, err = c.tlsFlags.config(addr); err != nil {
		return load.Config{}, err
	}
	if c.Auth != "" {
		cfg.Password, err = c.password()
	}
	return cfg, err
}

// send loads a server that is the end of the way. Refusals are told in the result; nothing accepted is an error.
func (c *sendFlags) send(ctx context.Context, addr string, lmtp bool) error {
	cfg, err := c.config(addr, lmtp)
	if err != nil {
		return usageError{err}
	}
	show := newTerminal(os.Stderr, "messages")
	res, err := load.Run(ctx, cfg, show.load)
	show.clear()
	if err != nil {
		return usageError{err}
	}
	err = c.print(os.Stdout, res, func(w io.Writer) error { return printSent(w, res) })
	if err == nil && res.Messages == 0 {
		err = errors.New("no message was accepted")
	}
	return err
}

type smtpCmd struct {
	Addr string `help:"Server: host:port, or the path of a unix socket." default:"127.0.0.1:10025"`
	sendFlags
}

func (c *smtpCmd) Run(ctx context.Context) error { return c.send(ctx, c.Addr, false) }

type lmtpCmd struct {
	Addr string `help:"Server: host:port, or the path of a unix socket." default:"127.0.0.1:10024"`
	sendFlags
}

func (c *lmtpCmd) Run(ctx context.Context) error { return c.send(ctx, c.Addr, true) }

type relayCmd struct {
	Addr   string        `help:"The system: host:port." default:"127.0.0.1:10587"`
	Sink   string        `help:"Where our own receiver listens; the system must send its mail there." default:"127.0.0.1:10026"`
	Delay  time.Duration `help:"Wait of the receiver before each reply to a message."`
	Stall  time.Duration `help:"How long nothing may arrive until what is missing counts as missing." default:"30s"`
	Linger time.Duration `help:"How long to wait for second copies at the end." default:"1s"`
	sendFlags
}

func (c *relayCmd) Run(ctx context.Context) error {
	cfg, err := c.config(c.Addr, false)
	if err != nil {
		return usageError{err}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Sink)
	if err != nil {
		return err
	}
	show := newTerminal(os.Stderr, "deliveries")
	res, err := work.Relay(ctx, work.RelayOptions{Load: cfg, Sink: l, Delay: c.Delay, Stall: c.Stall, Linger: c.Linger}, show.load)
	show.clear()
	if res.Source.Seconds > 0 { // what went wrong is in the figures
		err = errors.Join(c.print(os.Stdout, res, func(w io.Writer) error { return printRelayed(w, res) }), err)
	}
	return err
}
