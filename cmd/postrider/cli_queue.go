package main

import (
	"fmt"
	"reflect"

	"github.com/alecthomas/kong"
	"github.com/postrider/postrider/internal/config"
)

type (
	queueCmd struct {
		List    queueListCmd    `cmd:"" help:"List messages in the queue, oldest first."`
		Show    queueShowCmd    `cmd:"" help:"Show a message in the queue."`
		Flush   queueFlushCmd   `cmd:"" help:"Try now what waits: everything, or what is named."`
		Hold    queueHoldCmd    `cmd:"" help:"Stop deliveries of messages until they are released."`
		Release queueReleaseCmd `cmd:"" help:"Let held messages go on."`
		Requeue queueRequeueCmd `cmd:"" help:"Ask anew where messages go, by the configuration and directory of now, and try them with attempts counted from none."`
		Delete  queueDeleteCmd  `cmd:"" help:"Remove messages for good. Nobody is told."`
		Bounce  queueBounceCmd  `cmd:"" help:"Give messages up now and tell their senders."`
		Reroute queueRerouteCmd `cmd:"" help:"Send messages by another next hop, now."`
		Stats   queueStatsCmd   `cmd:"" help:"Count the queue by state, age and site."`
	}
	// queueFilter says which messages; of those with several recipients the ones that fit are meant, but for hold and release.
	queueFilter struct {
		Sender    string          `help:"Only from this address, @domain, or pattern with * and ?; '<>' is the null sender." placeholder:"ADDRESS"`
		Recipient string          `help:"Only to this address, @domain, or pattern." placeholder:"ADDRESS" xor:"to"`
		Domain    string          `help:"Only to recipients in this domain." placeholder:"DOMAIN" xor:"to"`
		Site      string          `help:"Only what waits for this site, as queue stats names it." placeholder:"SITE"`
		Transport string          `help:"Only by this transport: mailbox, smtp, lmtp, pipe, ..." placeholder:"NAME"`
		State     []string        `help:"Only in these states: incoming, active, deferred, hold, corrupt." placeholder:"STATE,..."`
		Class     []string        `help:"Only what waits for reasons of these classes: greylisted, throttled, blocked, policy, full, dns, network, tls, ..." placeholder:"CLASS,..."`
		Reason    string          `help:"Only where the last attempt's reply has these words." placeholder:"TEXT"`
		Older     config.Duration `help:"Only what arrived longer ago than this, such as 90m, 3h or 2d." placeholder:"TIME"`
		Newer     config.Duration `help:"Only what arrived within this time." placeholder:"TIME"`
		Limit     int             `help:"At most so many messages, the oldest." placeholder:"N"`
	}
	queueWhich struct {
		IDs []string `arg:"" optional:"" name:"queue-id" help:"The messages' ids; - reads them from standard input, one a line."`
		queueFilter
	}
	queueSome struct {
		queueWhich
		All    bool `help:"All messages in the queue."`
		DryRun bool `help:"Only list the messages that are meant."`
	}
	queueListCmd struct{ queueWhich }
	queueShowCmd struct {
		ID      string `arg:"" name:"queue-id" help:"The message's id."`
		Message bool   `help:"Print the message itself."`
	}
	queueFlushCmd   struct{ queueSome }
	queueHoldCmd    struct{ queueSome }
	queueReleaseCmd struct{ queueSome }
	queueRequeueCmd struct{ queueSome }
	queueDeleteCmd  struct{ queueSome }
	queueBounceCmd  struct {
		Text string `help:"What the sender is told; an enhanced code may stand in front: '5.7.1 No longer wanted'." placeholder:"TEXT"`
		queueSome
	}
	queueRerouteCmd struct {
		To        string `help:"The next hop: host, host:port, [host] or [host]:port, or several; mx for the exchangers of each recipient's domain." required:"" placeholder:"HOST"`
		Transport string `name:"by" help:"How: smtp, lmtp." default:"smtp" placeholder:"NAME"`
		queueSome
	}
	queueStatsCmd struct {
		Sites int `help:"How many sites to show, the largest; 0 for all." default:"20" placeholder:"N"`
	}
)

// AfterApply refuses a flag without a meaning, such as --sender "$FROM" where the variable is not set, or --newer 0s: passed
// over, it would let a change go to more messages than were meant.
func (queueFilter) AfterApply(ctx *kong.Context) error {
	for _, p := range ctx.Path {
		if p.Flag == nil {
			continue
		}
		v := p.Flag.Target
		if v.Kind() != reflect.Bool && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) {
			return fmt.Errorf("--%s: that is empty, and means no message; leave it out where all are meant", p.Flag.Name)
		}
	}
	return nil
}
