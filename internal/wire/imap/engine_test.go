package imap_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/imaptest"
	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

// plainMessage and nestedMessage are what the scripts find as messages 1 and 2 of INBOX.
const plainMessage = "From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: First message\r\n" +
	"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nMessage-ID: <1@example.test>\r\n\r\nHello, world.\r\nSecond line.\r\n"

const nestedMessage = "From: \"B. Builder\" <bob@example.test>\r\nTo: Team: alice@example.test, carol@example.test;\r\n" +
	"Subject: =?utf-8?q?Caf=C3=A9?=\r\nDate: Tue, 8 Feb 1994 10:00:00 +0100\r\nMessage-ID: <2@example.test>\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=\"xx\"\r\n\r\npreamble\r\n--xx\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe aus K=C3=B6ln\r\n--xx\r\nContent-Type: message/rfc822\r\n\r\n" +
	"From: carol@example.test\r\nSubject: Inner\r\n\r\nInner body\r\n--xx--\r\n"

func newStore() *imaptest.Store {
	s := imaptest.New(time.Now)
	s.AddUser("alice", "secret")
	s.AddUser("bob", "secret")
	s.Deliver("alice", imap.Name{"INBOX"}, plainMessage, view.Flags{System: view.Seen})
	s.Deliver("alice", imap.Name{"INBOX"}, nestedMessage, view.Flags{})
	return s
}

func testConfig(s *imaptest.Store) imap.Config {
	return imap.Config{Hostname: "imap.example.test", SASL: sasl.NewServer(s, sasl.Options{}), MaxMessage: 100_000,
		ID: []string{"name", "Postrider"}}
}

func newServer(s *imaptest.Store, config imap.Config) *imap.Server {
	return imap.New(s, discard(), config)
}

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// TestDialogues plays the scripts over protected connections.
func TestDialogues(t *testing.T) {
	dialogue.Files(t, "testdata/dialogue/*.txt", func(*testing.T) func(net.Conn) {
		s := newStore()
		srv := newServer(s, testConfig(s))
		return func(c net.Conn) { srv.ServeConn(context.Background(), c, imap.Secure) }
	})
}

// TestStartTLSDialogues plays the scripts that begin in the clear.
func TestStartTLSDialogues(t *testing.T) {
	tlsConfig, _ := dialogue.TLS(t, "imap.example.test")
	dialogue.Files(t, "testdata/starttls/*.txt", func(*testing.T) func(net.Conn) {
		s := newStore()
		config := testConfig(s)
		config.TLS = tlsConfig
		srv := newServer(s, config)
		return func(c net.Conn) { srv.ServeConn(context.Background(), c, imap.StartTLS) }
	})
}
