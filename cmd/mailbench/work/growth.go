package work

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/cmd/mailbench/client"
)

// growth checks that the mailboxes which a workload adds to have grown by what it added, and removes those that it made.
type growth struct {
	run     *run
	mailbox string // "": the workload adds nothing
	before  int64
	made    []User
}

// watchGrowth makes the mailboxes and counts what they have before.
func (r *run) watchGrowth(ctx context.Context) (*growth, error) {
	g := &growth{run: r}
	switch {
	case r.o.Protocol == "imap" && r.o.Workload == "append":
		g.mailbox = r.o.Mailbox
	case r.o.Protocol == "imap" && r.o.Workload == "copy":
		g.mailbox = r.o.To
	default:
		return g, nil
	}
	return g, g.forUsers(ctx, func(m *client.IMAP, u User) error {
		made, err := create(m, g.mailbox)
		if err != nil {
			return err
		}
		if made {
			g.made = append(g.made, u)
		}
		n, err := m.Status(g.mailbox, "MESSAGES")
		g.before += n
		return err
	})
}

// forUsers calls do with a connection of each user that has a session, one after the other.
func (g *growth) forUsers(ctx context.Context, do func(*client.IMAP, User) error) error {
	for _, u := range g.run.o.Users[:min(len(g.run.o.Users), g.run.o.Sessions)] {
		m, err := dialIMAP(ctx, g.run.o.Target, u)
		if err != nil {
			return err
		}
		if err := errors.Join(do(m, u), m.Logout()); err != nil {
			return fmt.Errorf("%s: %w", u.Name, err)
		}
	}
	return nil
}

// check demands that all mailboxes together have grown by added messages.
func (g *growth) check(ctx context.Context, added int64) error {
	if g.mailbox == "" {
		return nil
	}
	var after int64
	err := g.forUsers(ctx, func(m *client.IMAP, u User) error {
		n, err := m.Status(g.mailbox, "MESSAGES")
		after += n
		for _, made := range g.made {
			if err == nil && made == u {
				_, err = m.Do("DELETE "+client.Quote(g.mailbox), nil)
			}
		}
		return err
	})
	if err == nil && after-g.before != added {
		err = fmt.Errorf("%s: %d messages were added, but it has grown by %d", g.mailbox, added, after-g.before)
	}
	return err
}
