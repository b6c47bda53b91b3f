package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/submit"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// smtpSession is -bs: SMTP on standard input and output. There is no AUTH and no TLS: the user id is the identity, as for
// every other message of this program.
func (a *app) smtpSession(*sendmailOptions) error {
	place := a.mailPlace()
	server := smtp.NewServer(&smtp.Config{Hostname: place.hostname, Banner: "ESMTP Postrider", Backend: stdioBackend{place},
		LaxNewlines: func(netip.Addr) bool { return true }, Limits: smtp.Limits{MessageSize: place.maxDrop}})
	server.ServeConn(context.Background(), stdioConn{a.stdin, a.stdout}, smtp.TLSStart)
	return nil
}

// stdioConn is standard input and output as a connection. Whoever started us may be slow: there are no deadlines.
type stdioConn struct{ in, out *os.File }

func (c stdioConn) Read(p []byte) (int, error)     { return c.in.Read(p) }
func (c stdioConn) Write(p []byte) (int, error)    { return c.out.Write(p) }
func (stdioConn) Close() error                     { return nil }
func (stdioConn) LocalAddr() net.Addr              { return &net.UnixAddr{Net: "unix"} }
func (stdioConn) RemoteAddr() net.Addr             { return &net.UnixAddr{Net: "unix"} }
func (stdioConn) SetDeadline(time.Time) error      { return nil }
func (stdioConn) SetReadDeadline(time.Time) error  { return nil }
func (stdioConn) SetWriteDeadline(time.Time) error { return nil }

// stdioBackend hands each message to the server, or to the drop folder.
type stdioBackend struct{ place mailPlace }

func (b stdioBackend) Connect(context.Context, *smtp.Peer) (smtp.Session, error) {
	return &stdioSession{b.place}, nil
}

type stdioSession struct{ place mailPlace }

func (*stdioSession) Hello(context.Context) error                    { return nil }
func (*stdioSession) Mail(context.Context, *envelope.Envelope) error { return nil }
func (*stdioSession) Reset(context.Context)                          {}
func (*stdioSession) Close(smtp.Stats)                               {}

// Rcpt takes every address: who receives is the server's to say, when it has the message.
func (*stdioSession) Ready(context.Context, *envelope.Envelope) error { return nil }

// Rcpt takes it.
func (*stdioSession) Rcpt(context.Context, *envelope.Envelope, *envelope.Recipient) error { return nil }

// errTwoNotify refuses what the head has no place for.
var errTwoNotify = status.Perm(501, 5, 4, "All recipients of a message must have the same NOTIFY")

// Data collects the message and hands it over.
func (s *stdioSession) Data(ctx context.Context, e *envelope.Envelope, body io.Reader) (string, error) {
	text := &spool{}
	defer text.close()
	if _, err := io.Copy(text, body); err != nil {
		return "", err
	}
	_, full := userNames(os.Getenv)
	h := &submit.Head{Token: submit.NewToken(time.Now()), Sender: e.From.String(), Name: cleanName(full), Ret: e.Ret, EnvID: e.EnvID,
		Size: text.size, Notify: e.Recipients[0].Notify}
	for _, r := range e.Recipients {
		if r.Notify != h.Notify {
			return "", errTwoNotify
		}
		h.Recipients = append(h.Recipients, r.To.String())
	}
	said, err := s.place.hand(ctx, h, text)
	var refused *status.Error
	if err != nil && !errors.As(err, &refused) {
		err = status.Temp(451, 3, 0, "The mail system takes no mail now; try again later").With("hand over", err)
	}
	return said, err
}
