package node

import (
	"context"
	"errors"

	"github.com/postrider/postrider/internal/agent/lda"
	"github.com/postrider/postrider/internal/config"
	aliasing "github.com/postrider/postrider/internal/decide/aliases"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/privhelper"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/queue"
)

// programs are the transports of [pipes].
func programs(c *config.Config) route.Programs {
	p := route.Programs{}
	for name := range c.Pipes {
		p[name] = true
	}
	return p
}

// userMailbox is where the mail of accounts that are users of the system goes instead of our mailstore: mailbox_command,
// home_mailbox; nil where neither is set.
func (n *Node) userMailbox(c *config.Config) func(context.Context, address.Address, string) (flow.Transport, string, error) {
	transport, text := flow.Pipe, "|"+c.Routing.MailboxCommand
	if c.Routing.HomeMailbox != "" {
		transport, text = flow.File, c.Routing.HomeMailbox
	} else if c.Routing.MailboxCommand == "" {
		return nil
	}
	return func(ctx context.Context, account address.Address, extension string) (flow.Transport, string, error) {
		user, err := n.directory.SystemUser(ctx, account)
		if errors.Is(err, directory.ErrNotFound) || err == nil && user == "" {
			return 0, "", nil
		}
		return transport, aliasing.Local{Source: aliasing.FromMailbox, User: user, Extension: extension, Text: text}.String(), err
	}
}

// runner is the helper as the agent of programs asks it.
type runner struct{ node *Node }

// Run implements lda.Runner.
func (r runner) Run(ctx context.Context, one lda.Run) error {
	c := r.node.config.Load()
	if !c.Helper.Enabled {
		return errors.New("helper.enabled is false")
	}
	p := privhelper.Program{Name: one.Name, NextHop: one.NextHop, Macros: one.Macros}
	if from := one.Sender; !from.IsZero() {
		p.Sender = from.Local + "@" + from.Domain
	}
	for i := range one.Recipients {
		to := &one.Recipients[i]
		p.Recipients = append(p.Recipients, privhelper.Recipient{Local: to.To.Local, Domain: to.To.Domain,
			OriginalLocal: to.Original.Local, OriginalDomain: to.Original.Domain})
	}
	return undelivered(helperOf(c).Program(ctx, p, one.Message, one.Size))
}

// programWorkers is how many programs of [pipes] are run at once, all together.
const programWorkers = 40

// programLane serves the programs of [pipes].
func (n *Node) programLane(dir string) queue.Lane {
	find := func(name string) (lda.Settings, bool) {
		p := n.config.Load().Pipes[name]
		if p == nil {
			return lda.Settings{}, false
		}
		return lda.Settings{Flags: p.Flags, Size: int64(p.Size), CRLF: p.EOL == "crlf", Recipients: p.Recipients(), AtOnce: p.DestinationConcurrencyLimit}, true
	}
	return queue.Lane{Workers: programWorkers, Batch: 1,
		Agent: &lda.Programs{Source: n.blobs, Runner: runner{n}, Find: find, Dir: dir, Now: n.opt.Now, Log: n.log.Logger}}
}
