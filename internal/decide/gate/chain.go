package gate

import (
	"context"

	"github.com/postrider/postrider/internal/mail/envelope"
)

// Chain is several gates as one, asked in order. The empty one lets everything pass.
type Chain []Gate

var _ Gate = Chain{}

// Connect begins a session of each gate, up to the first that refuses.
func (c Chain) Connect(ctx context.Context, conn *Conn) (Session, error) {
	all := make(sessions, 0, len(c))
	for _, g := range c {
		s, err := g.Connect(ctx, conn)
		if err != nil {
			all.Close()
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

type sessions []Session

func (all sessions) each(judge func(Session) error) error {
	for _, s := range all {
		if err := judge(s); err != nil {
			return err
		}
	}
	return nil
}

// Hello asks in order.
func (all sessions) Hello(ctx context.Context) error {
	return all.each(func(s Session) error { return s.Hello(ctx) })
}

// Mail asks in order.
func (all sessions) Mail(ctx context.Context, tx *Transaction) error {
	return all.each(func(s Session) error { return s.Mail(ctx, tx) })
}

// Rcpt asks in order.
func (all sessions) Rcpt(ctx context.Context, tx *Transaction, r *envelope.Recipient) error {
	return all.each(func(s Session) error { return s.Rcpt(ctx, tx, r) })
}

// Data asks in order.
func (all sessions) Data(ctx context.Context, tx *Transaction) error {
	return all.each(func(s Session) error { return s.Data(ctx, tx) })
}

// Message asks in order; each gate sees the message as those before have left it.
func (all sessions) Message(ctx context.Context, tx *Transaction, m *Message) error {
	return all.each(func(s Session) error { return s.Message(ctx, tx, m) })
}

// Reset tells everybody.
func (all sessions) Reset(ctx context.Context) {
	for _, s := range all {
		s.Reset(ctx)
	}
}

// Close ends every session.
func (all sessions) Close() {
	for _, s := range all {
		s.Close()
	}
}
