package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/client"
	"github.com/postrider/postrider/cmd/mailbench/load"
	"github.com/postrider/postrider/cmd/mailbench/source"
)

// guest is one connection of a crowd.
type guest interface {
	leave() error // proves that it is alive, and says goodbye
	Close() error
}

// enter brings connection i to where it waits: IMAP into IDLE, POP3 and SMTP behind the login, if there is one.
func (c *crowd) enter(ctx context.Context, i int) (guest, error) {
	t := c.o.Target
	t.Local = source.Address(i, c.o.Sources)
	var u User
	if len(c.o.Users) > 0 {
		u = c.o.Users[i%len(c.o.Users)]
	}
	switch c.o.Protocol {
	case "smtp":
		g, err := load.Visit(ctx, load.Config{Addr: t.Addr, Local: t.Local, TLS: t.TLS, ImplicitTLS: t.Implicit, StartTLS: t.StartTLS,
			Username: u.Name, Password: u.Password, ReplyTimeout: t.Timeout})
		if err != nil {
			return nil, err
		}
		return &smtpGuest{g}, nil
	case "pop3":
		return enterPOP3(ctx, t, u)
	}
	return c.enterIMAP(ctx, t, u)
}

// smtpGuest waits for its first MAIL.
type smtpGuest struct{ *load.Guest }

func (g *smtpGuest) leave() error { return errors.Join(g.Noop(), g.Quit()) }

// pop3Guest waits for its first command.
type pop3Guest struct{ *client.POP3 }

func enterPOP3(ctx context.Context, t client.Target, u User) (guest, error) {
	p, err := client.DialPOP3(ctx, t)
	if err != nil {
		return nil, err
	}
	if u.Name != "" {
		if err := p.Login(u.Name, u.Password); err != nil {
			p.Close()
			return nil, fmt.Errorf("%s: %w", u.Name, err)
		}
	}
	return &pop3Guest{p}, nil
}

// leave needs no question before: QUIT is answered in every state, unlike NOOP (RFC 1939 §4, §5).
func (g *pop3Guest) leave() error { return g.Quit() }

// imapGuest waits in IDLE (RFC 2177).
type imapGuest struct{ *client.IMAP }

func (c *crowd) enterIMAP(ctx context.Context, t client.Target, u User) (guest, error) {
	m, err := dialIMAP(ctx, t, u)
	if err != nil {
		return nil, err
	}
	g := &imapGuest{m}
	if err := g.idle(c.o.Mailbox); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *imapGuest) idle(mailbox string) error {
	_, err := g.Select(mailbox, true)
	if err == nil {
		err = g.Send("IDLE")
	}
	if err == nil {
		err = g.Continue("IDLE")
	}
	return err
}

// told waits for an EXISTS and returns when it came.
func (g *imapGuest) told() (time.Time, error) {
	if err := g.Extend(0); err != nil {
		return time.Time{}, err
	}
	for {
		a, err := g.Await()
		if err != nil {
			return time.Time{}, fmt.Errorf("waiting for news: %w", err)
		}
		if _, word, _, ok := a.Numbered(); ok && client.Is(word, "EXISTS") {
			return time.Now(), nil
		}
	}
}

func (g *imapGuest) leave() error { return errors.Join(g.Done(nil), g.Logout()) }
