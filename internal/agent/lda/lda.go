// Package lda is the delivery agent for what lies outside of the mailstore: commands, mbox files and Maildirs that
// aliases(5) and .forward files name (flow.Pipe, flow.File), and for the programs of [pipes.NAME] (flow.Program). It writes the message as local(8) does, into a file without a
// name, and hands that to the helper, who runs and writes as the user concerned; this process has no right to.
//
// At least once: a helper or a server that ends between the delivery and its report delivers again.
//
// What a command says, the sender reads. What is wrong here (no helper, a command that is no longer named in the alias file)
// is temporary: an operator can mend it.
//
//	lda.go       one delivery, and what became of it
//	programs.go  the programs of [pipes.NAME], pipe(8)
//	message.go   the message as a command or a file gets it
package lda

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/decide/aliases"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/queue"
)

// Delivery is one for the helper.
type Delivery struct {
	Local             aliases.Local
	Sender, Recipient address.Address
	OriginalRecipient address.Address
	Message           *os.File // a regular file, at its start
	Size              int64
}

// Helper makes deliveries. A *status.Error is for the sender; any other error is temporary, and for the log.
type Helper interface {
	Deliver(ctx context.Context, d Delivery) error
}

// Agent implements queue.Agent.
type Agent struct {
	Source recipe.Source
	Helper Helper
	Dir    string // for messages while they are delivered; it is there, and nobody else's
	Now    func() time.Time
	Log    *slog.Logger
}

var (
	errUnknown = status.Perm(554, 3, 5, "The delivery cannot be understood")
	errHelper  = status.Temp(451, 3, 5, "Delivery to commands and files is not possible now")
	errMessage = status.Temp(451, 3, 0, "The message cannot be read now")
	errLoop    = status.Perm(554, 4, 6, "mail forwarding loop for ")
)

// Deliver makes each task's deliveries, one after the other.
func (a *Agent) Deliver(ctx context.Context, tasks []*queue.Task) [][]flow.Outcome {
	out := make([][]flow.Outcome, len(tasks))
	for i, t := range tasks {
		for j := range t.Recipients {
			started := a.Now()
			reply, err := a.one(ctx, t.Job, &t.Recipients[j])
			if err != nil && ctx.Err() != nil {
				return out // cut off: no attempt
			}
			o := a.outcome(t, &t.Recipients[j], reply, err)
			o.Delays = [4]time.Duration{t.Due.Sub(t.Job.Received), started.Sub(t.Due), 0, o.At.Sub(started)}
			out[i] = append(out[i], o)
		}
	}
	return out
}

// one makes a delivery; reply is what the log says of it, in Postfix's words.
func (a *Agent) one(ctx context.Context, job *flow.Job, r *flow.Recipient) (reply string, err error) {
	local, ok := aliases.ParseLocal(r.NextHop)
	if !ok {
		return "", errUnknown
	}
	if err := loops(a.Source, job, r); err != nil {
		return "", err
	}
	file, size, err := written{a.Source, a.Dir, job, r, localForm(local)}.write()
	if err != nil {
		return "", errMessage.With("copy", err)
	}
	defer file.Close()
	err = a.Helper.Deliver(ctx, Delivery{Local: local, Sender: job.Sender(r), Recipient: r.To, OriginalRecipient: r.Original, Message: file, Size: size})
	if _, isStatus := errors.AsType[*status.Error](err); err != nil && !isStatus {
		err = errHelper.With("helper", err)
	}
	switch {
	case local.Text[0] == '|':
		return "delivered to command: " + local.Text[1:], err
	case strings.HasSuffix(local.Text, "/"):
		return "delivered to maildir", err
	case local.Source == aliases.FromMailbox:
		return "delivered to mailbox", err
	}
	return "delivered to file: " + local.Text, err
}

// loops refuses a message that was delivered to a recipient before.
func loops(source recipe.Source, job *flow.Job, r *flow.Recipient) error {
	looped, err := looped(source, job, r.To)
	if err != nil {
		return errMessage.With("read", err)
	}
	if looped {
		loop := *errLoop
		loop.Public += r.To.String()
		return &loop
	}
	return nil
}

func (a *Agent) outcome(t *queue.Task, r *flow.Recipient, reply string, err error) flow.Outcome {
	if err != nil {
		o := flow.Failure(r.No, err, a.Now())
		o.Relay = "local"
		a.Log.Warn("local delivery failed", "id", t.Job.ID.String(), "recipient", r.To.String(), "to", strings.ReplaceAll(r.NextHop, "\t", " "), "err", err)
		return o
	}
	return flow.Outcome{Recipient: r.No, Result: flow.Delivered, Status: status.Enhanced{Class: status.Success}, Relay: "local", Reply: reply, At: a.Now()}
}
