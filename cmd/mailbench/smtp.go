package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/load"
)

type smtpCmd struct {
	Addr     string  `help:"Server: host:port, or the path of a unix socket." default:"127.0.0.1:10025"`
	LMTP     bool    `name:"lmtp" help:"Speak LMTP (RFC 2033) instead of SMTP."`
	Sessions int     `help:"Sessions at the same time." default:"10"`
	Seconds  seconds `help:"How long to send: seconds, or a Go duration." default:"10"`
	Messages int64   `help:"How many messages to send in all, instead of a time."`
	Size     []int   `help:"Bytes of a message, header included; several are used in turn." default:"10240"`

	From            string        `help:"Envelope sender; empty is the null reverse-path." default:"bench@mailbench.invalid"`
	Rcpt            []string      `help:"Recipient; %d in it stands for the numbers 1 to --rcpt-count. Used in turn. Repeatable." default:"alice@example.test"`
	RcptCount       int           `help:"How many addresses a %d stands for." default:"1"`
	RcptPerMessage  int           `help:"Recipients of one message." default:"1"`
	MessagesPerConn int           `name:"messages-per-connection" help:"Messages over one connection; 0 is no limit." default:"0"`
	Helo            string        `help:"Name to greet with." default:"mailbench.invalid"`
	NoPipelining    bool          `help:"Wait for each reply even if PIPELINING is offered."`
	StartTLS        bool          `name:"starttls" help:"Change to TLS with STARTTLS." xor:"tls"`
	TLS             bool          `name:"tls" help:"Speak TLS from the first byte." xor:"tls"`
	CA              string        `name:"ca" help:"PEM file of the authority that the server's certificate is from." type:"existingfile"`
	Insecure        bool          `help:"Accept any certificate."`
	Auth            string        `help:"User name for AUTH PLAIN or LOGIN; the password comes from --password-file or MAILBENCH_PASSWORD."`
	PasswordFile    string        `help:"File whose first line is the password." type:"existingfile"`
	ReplyTimeout    time.Duration `help:"How long to wait for a reply." default:"5m"`
	JSON            bool          `name:"json" help:"Print the result as JSON."`
}

func (c *smtpCmd) Run(ctx context.Context) error {
	cfg, err := c.config()
	if err != nil {
		return usageError{err}
	}
	show := newTerminal(os.Stderr)
	res, err := load.Run(ctx, cfg, show.load)
	show.clear()
	if err != nil {
		return usageError{err}
	}
	if c.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(res)
	} else {
		err = printResult(os.Stdout, res)
	}
	if err == nil && res.Messages == 0 {
		err = errors.New("no message was accepted")
	}
	return err
}

func (c *smtpCmd) config() (load.Config, error) {
	rcpts, err := load.ExpandRecipients(c.Rcpt, c.RcptCount)
	if err != nil {
		return load.Config{}, err
	}
	cfg := load.Config{
		Addr: c.Addr, LMTP: c.LMTP, Sessions: c.Sessions, Duration: time.Duration(c.Seconds), Messages: c.Messages, Sizes: c.Size,
		From: c.From, Recipients: rcpts, PerMessage: c.RcptPerMessage, PerConnection: c.MessagesPerConn, Helo: c.Helo,
		NoPipelining: c.NoPipelining, StartTLS: c.StartTLS, ImplicitTLS: c.TLS, Username: c.Auth,
		ReplyTimeout: c.ReplyTimeout,
	}
	if c.Messages > 0 {
		cfg.Duration = 0
	}
	if cfg.TLS, err = c.tls(); err != nil {
		return load.Config{}, err
	}
	if c.Auth != "" {
		cfg.Password, err = c.password()
	}
	return cfg, err
}

func (c *smtpCmd) tls() (*tls.Config, error) {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		host = "localhost" // a unix socket has no name of its own
	}
	cfg := &tls.Config{ServerName: host, InsecureSkipVerify: c.Insecure}
	if c.CA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, err
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", c.CA)
	}
	return cfg, nil
}

func (c *smtpCmd) password() (string, error) {
	if c.PasswordFile == "" {
		if p := os.Getenv("MAILBENCH_PASSWORD"); p != "" {
			return p, nil
		}
		return "", errors.New("--auth needs --password-file or MAILBENCH_PASSWORD")
	}
	b, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return string(bytes.TrimSuffix(line, []byte("\r"))), nil
}

// seconds is a time on the command line: a plain number of seconds, or a Go duration.
type seconds time.Duration

func (s *seconds) UnmarshalText(b []byte) error {
	if n, err := strconv.ParseFloat(string(b), 64); err == nil && n > 0 && n < 1e6 {
		*s = seconds(n * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(string(b))
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is neither a number of seconds nor a duration such as 90s or 2m", b)
	}
	*s = seconds(d)
	return nil
}
