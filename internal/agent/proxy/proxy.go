// Package proxy gives messages to a content filter before they are accepted (Postfix's SMTPD_PROXY_README): by SMTP, with
// XFORWARD where the filter takes it. The filter's answer is the client's; until it has come nothing is promised, and after it
// nothing is kept here: the message comes back by listeners.reinject.
//
// The message is here in full before the filter hears of it (as with Postfix's speed_adjust), so that a slow client costs the
// filter nothing. It goes to all recipients or to none: where the filter refuses one, its words are the answer to all.
//
// Failures: a filter that cannot be reached, or breaks off, is a temporary failure. A connection that breaks after all has been
// sent leaves open whether the filter has the message (RFC 1047): the client, which was told to come again, may send it twice.
package proxy

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/postrider/postrider/internal/decide/accept"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// Filter is where the filter is.
type Filter struct {
	Address string        // host:port
	Hello   string        // our name
	Timeout time.Duration // for the connection, and for each answer
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

var _ accept.Proxy = (*Filter)(nil)

var errUnreachable = status.Temp(451, 3, 0, "Error: the content filter is not available, try again later")

// Pass implements accept.Proxy.
func (f *Filter) Pass(ctx context.Context, job *flow.Job, to []envelope.Recipient, body *recipe.Reader) (string, error) {
	c, err := f.connect(ctx)
	if err != nil {
		return "", errUnreachable.With("smtpd_proxy_filter "+f.Address, err)
	}
	defer func() { _ = c.Quit(context.WithoutCancel(ctx)) }() // it has answered; how it takes leave does not matter
	if err := c.Forward(ctx, job.Client, job.ID.String()); err != nil && !c.Usable() {
		return "", errUnreachable.With("smtpd_proxy_filter "+f.Address, err)
	}
	e := &envelope.Envelope{From: job.From, Body: job.Body, UTF8: job.UTF8, Ret: job.Ret, EnvID: job.EnvID, Recipients: to}
	outcomes, err := c.Send(ctx, &smtp.Outgoing{Envelope: e, Body: body, Size: body.Size(), All: true})
	return answer(f.Address, outcomes, err)
}

func (f *Filter) connect(ctx context.Context) (*smtp.Client, error) {
	dial := f.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	waiting, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	conn, err := dial(waiting, "tcp", f.Address)
	if err != nil {
		return nil, err
	}
	t := f.Timeout
	c := smtp.NewClient(conn, smtp.ClientOptions{Hello: f.Hello, NoPipelining: true,
		Timeouts: smtp.ClientTimeouts{Greeting: t, Command: t, DataInit: t, Block: t, DataEnd: t}})
	if err := c.Hello(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// answer makes one of the filter's answers.
func answer(filter string, outcomes []smtp.Outcome, err error) (string, error) {
	what := "smtpd_proxy_filter " + filter
	for _, o := range outcomes {
		if e := o.Reply.Status(); o.Reply.Code != 0 && e != nil {
			return "", e.With(what, nil)
		}
	}
	var own *status.Error
	switch {
	case errors.As(err, &own):
		return "", own.With(what, err) // the filter cannot take such a message
	case err != nil:
		return "", errUnreachable.With(what, err)
	}
	for _, o := range outcomes {
		if !o.Accepted() {
			return "", errUnreachable.With(what, errors.New("no answer"))
		}
	}
	if len(outcomes) == 0 {
		return "", errUnreachable.With(what, errors.New("nobody to send to"))
	}
	return outcomes[0].Reply.Text(), nil
}
