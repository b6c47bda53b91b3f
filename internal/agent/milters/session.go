package milters

import (
	"context"
	"strconv"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/milter"
)

// session is one SMTP session with all filters.
type session struct {
	set     *Settings
	conn    *gate.Conn
	filters []*filter
	tx      *gate.Transaction
	rcpt    *envelope.Recipient
}

// filter is one filter's part in it.
type filter struct {
	*Milter
	s        *session
	conn     *milter.Conn
	gone     bool          // it has accepted the connection, or cannot be asked: nothing more goes there
	refusal  *status.Error // what its failure or its word means for all that follows in this session
	hold     bool          // what its failure means for each message: on hold
	done     bool          // with this transaction
	skipRcpt bool
	began    bool // it has heard of the transaction
}

func (s *session) connect(ctx context.Context) error {
	for _, f := range s.filters {
		if err := f.open(ctx); err != nil {
			return err
		}
	}
	peer := milter.Peer{Name: s.name(), Addr: s.conn.Client.Addr}
	if peer.Name == "unknown" {
		peer.Name = "[" + peer.Addr.Addr().String() + "]"
	}
	return s.each(ctx, gate.AtConnect, func(f *filter) (milter.Response, error) { return f.conn.Connect(ctx, peer) })
}

// open makes the connection and negotiates.
func (f *filter) open(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, f.Connect)
	defer cancel()
	conn, err := f.s.set.Dial(dialing, f.Network, f.Address)
	if err != nil {
		return f.fail(gate.AtConnect, err)
	}
	f.conn, err = milter.Open(ctx, conn, milter.Options{Version: f.Version, Command: f.Command, Content: f.Content, Macros: f.s.set.Macros,
		Value: f.s.value, MaxBytes: f.s.set.MaxBytes})
	if err != nil {
		_ = conn.Close()
		return f.fail(gate.AtConnect, err)
	}
	return nil
}

// fail ends the use of a filter that cannot be asked; the default action takes its place from now on.
func (f *filter) fail(at gate.Stage, err error) error {
	f.s.set.Log.Warn("a milter cannot be asked", obs.KeyComponent, "milter", "milter", f.Name, "stage", string(at), "default_action", string(f.Default),
		obs.KeyError, err)
	f.drop()
	f.s.conn.Tell(at, "milter "+f.Name, "failed: "+string(f.Default))
	switch f.Default {
	case Accept:
	case Quarantine:
		f.hold = true
	case Reject:
		f.refusal = errReject
	case Shutdown:
		f.refusal = errShutdown
	default:
		f.refusal = errTempFail
	}
	if f.refusal == nil {
		return nil
	}
	return f.refusal.With("milter "+f.Name, err)
}

// drop closes the connection.
func (f *filter) drop() {
	if f.conn != nil {
		_ = f.conn.Close()
		f.conn = nil
	}
	f.gone = true
}

// each passes an event to every filter that is still asked, up to the first that refuses.
func (s *session) each(ctx context.Context, at gate.Stage, event func(*filter) (milter.Response, error)) error {
	for _, f := range s.filters {
		if err := f.pass(ctx, at, event); err != nil {
			return err
		}
	}
	return nil
}

func (f *filter) pass(ctx context.Context, at gate.Stage, event func(*filter) (milter.Response, error)) error {
	if f.refusal != nil {
		return f.refusal
	}
	if f.gone || f.done || at == gate.AtRcpt && f.skipRcpt {
		return nil
	}
	r, err := event(f)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return f.fail(at, err)
	}
	return f.obey(at, r)
}

// obey does what an answer asks for.
func (f *filter) obey(at gate.Stage, r milter.Response) error {
	before := at == gate.AtConnect || at == gate.AtHello
	switch r.Verdict {
	case milter.Continue:
		return nil
	case milter.Accept:
		f.s.conn.Tell(at, "milter "+f.Name, "accept")
		f.gone, f.done = f.gone || before, true
	case milter.Discard:
		f.done = true
		if tx := f.s.tx; tx != nil && tx.Changes.Discard == "" {
			tx.Changes.Discard = "milter " + f.Name
		}
		f.s.conn.Tell(at, "milter "+f.Name, "discard")
	case milter.Skip:
		f.skipRcpt = f.skipRcpt || at == gate.AtRcpt
	default:
		f.s.conn.Tell(at, "milter "+f.Name, r.Err.Error())
		if r.Verdict == milter.Shutdown || r.Verdict == milter.ConnFail {
			f.drop()
			f.refusal = r.Err
		}
		if at == gate.AtConnect && r.Verdict != milter.Reply {
			f.refusal = r.Err
		}
		return r.Err.With("milter "+f.Name, nil)
	}
	return nil
}

// Hello passes HELO and EHLO on.
func (s *session) Hello(ctx context.Context) error {
	return s.each(ctx, gate.AtHello, func(f *filter) (milter.Response, error) { return f.conn.Hello(ctx, s.conn.Client.Helo) })
}

// Mail passes MAIL on.
func (s *session) Mail(ctx context.Context, tx *gate.Transaction) error {
	s.Reset(ctx) // of a transaction that another gate refused
	s.tx = tx
	e := tx.Envelope
	args := []string{e.From.Path()}
	if e.Size > 0 {
		args = append(args, "SIZE="+strconv.FormatInt(e.Size, 10))
	}
	switch e.Body {
	case envelope.Body8BitMIME:
		args = append(args, "BODY=8BITMIME")
	case envelope.Body7Bit:
		args = append(args, "BODY=7BIT")
	}
	if e.UTF8 {
		args = append(args, "SMTPUTF8")
	}
	return s.each(ctx, gate.AtMail, func(f *filter) (milter.Response, error) {
		f.began = true
		return f.conn.Mail(ctx, args...)
	})
}

// Rcpt passes RCPT on.
func (s *session) Rcpt(ctx context.Context, tx *gate.Transaction, r *envelope.Recipient) error {
	s.tx, s.rcpt = tx, r
	args := []string{r.To.Path()}
	if r.ORcpt != "" {
		args = append(args, "ORCPT="+r.ORcpt)
	}
	err := s.each(ctx, gate.AtRcpt, func(f *filter) (milter.Response, error) { return f.conn.Rcpt(ctx, args...) })
	s.rcpt = nil
	return err
}

// Data passes DATA on.
func (s *session) Data(ctx context.Context, tx *gate.Transaction) error {
	s.tx = tx
	return s.each(ctx, gate.AtData, func(f *filter) (milter.Response, error) { return f.conn.Data(ctx) })
}

// Reset ends the transaction.
func (s *session) Reset(ctx context.Context) {
	s.tx, s.rcpt = nil, nil
	for _, f := range s.filters {
		if f.began && f.conn != nil {
			if err := f.conn.Abort(ctx); err != nil {
				_ = f.fail(gate.AtMail, err) // the next MAIL is told
			}
		}
		f.began, f.done, f.skipRcpt = false, false, false
	}
}

// Close ends the session.
func (s *session) Close() {
	for _, f := range s.filters {
		if f.conn != nil {
			_ = f.conn.Quit(context.Background()) // bounded by the filter's own time
			f.conn = nil
		}
		f.gone = true
	}
}

// parseAddress reads an address as filters write it, with angle brackets or without.
func parseAddress(s string) (address.Address, error) {
	if len(s) > 1 && s[0] == '<' && s[len(s)-1] == '>' {
		s = s[1 : len(s)-1]
	}
	if s == "" {
		return address.Address{}, nil
	}
	return address.Parse(s, true)
}
