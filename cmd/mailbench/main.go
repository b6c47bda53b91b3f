// Command mailbench loads a mail server and says how it did; and it compares Postrider with Postfix and Dovecot on the machine
// it runs on.
//
//	mailbench smtp --addr mx.example.org:25 --rcpt 'user%d@example.org' --rcpt-count 50 --sessions 20 --seconds 30
//	mailbench compare --write docs/benchmarks.md
//
//	mailbench fill --addr imap.example.org:993 --tls --user alice --messages 100000
//	mailbench imap search-text --addr imap.example.org:993 --tls --user alice --sessions 4 --json
//
// It is a tool for anyone with a server of any make: all commands but compare know nothing of Postrider. Its own
// machinery stands in the packages below: load (SMTP and LMTP traffic), client (IMAP and POP3), work (their workloads,
// idle crowds, the filler, the relay), source (where connections come from), sink (where relayed mail ends), gauge (what processes and disks do), peer (the
// systems that are compared), compare (the order of runs, and the report), plot (its drawings).
//
// Files here: main.go (the command line), flags.go (what several commands have), smtp.go (smtp, lmtp, relay), imap.go
// (imap, pop3, idle, fill), compare.go and folder.go (where it works), print.go (results for people), terminal.go
// (progress).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes of sysexits.h.
const (
	exUsage    = 64
	exSoftware = 70

	exInterrupted = 130 // as shells count a death by SIGINT
)

type cli struct {
	SMTP    smtpCmd    `cmd:"" name:"smtp" help:"Send messages by SMTP over closed-loop sessions and measure."`
	LMTP    lmtpCmd    `cmd:"" name:"lmtp" help:"The same by LMTP."`
	Relay   relayCmd   `cmd:"" help:"Send through a system into our own receiver, and check that each message arrives once."`
	IMAP    imapCmd    `cmd:"" name:"imap" help:"Do what IMAP programs do, over and over, and check each answer."`
	Idle    idleCmd    `cmd:"" help:"Let a crowd of IMAP, POP3 or SMTP connections wait, and measure what each costs."`
	POP3    pop3Cmd    `cmd:"" name:"pop3" help:"Do what POP3 programs do, over and over, and check each answer."`
	Fill    fillCmd    `cmd:"" help:"Fill a mailbox with messages to read and search."`
	Compare compareCmd `cmd:"" help:"Run Postrider beside Postfix and Dovecot on this machine, as root, and write the table."`
}

func main() {
	var c cli
	parser, err := kong.New(&c, kong.Name("mailbench"), kong.UsageOnError(),
		kong.Description("Load generator for mail servers, and benchmark beside Postfix and Dovecot."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fail(exSoftware, err)
	}
	command, err := parser.Parse(os.Args[1:])
	if err != nil {
		fail(exUsage, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run()
	interrupted := ctx.Err() != nil
	stop()
	var usage usageError
	switch {
	case err == nil:
	case interrupted && errors.Is(err, context.Canceled):
		fail(exInterrupted, errors.New("interrupted"))
	case errors.As(err, &usage):
		fail(exUsage, err)
	default:
		fail(exSoftware, err)
	}
}

// usageError is a wrong word of the caller, found after the flags were parsed.
type usageError struct{ error }

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, "mailbench:", err)
	os.Exit(code)
}
