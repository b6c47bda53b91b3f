package node

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// BenchmarkIMAP runs commands over a mailbox of 100,000 messages in the real store, each answer read to its end. One
// operation is one command.
func BenchmarkIMAP(b *testing.B) {
	n, _ := start(b, testConfig(b, b.TempDir()))
	addUser(b, n, "alice", "pw")
	fillMailbox(b, n, 100_000)
	for _, command := range []string{
		"LOGIN and SELECT", "FETCH 1:* (FLAGS)", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)", "FETCH 1:* (ENVELOPE)",
		"FETCH 1:* (BODYSTRUCTURE)", "SEARCH UNSEEN", "SEARCH SUBJECT 77777", "FETCH 5000:5999 (BODY.PEEK[])", "STATUS INBOX (MESSAGES UNSEEN UIDNEXT)",
		"SEARCH TEXT 77777", "STORE 100:199 ±FLAGS (\\Flagged)", "UID FETCH 50000 (FLAGS)", "UID FETCH 50000 (BODYSTRUCTURE)",
	} {
		b.Run(strings.ReplaceAll(command, " ", "_"), func(b *testing.B) {
			if command == "LOGIN and SELECT" {
				for b.Loop() {
					dialIMAP(b, n).close()
				}
				return
			}
			c := dialIMAP(b, n)
			defer c.close()
			sign := []string{"+", "-"}
			for b.Loop() {
				c.command(strings.Replace(command, "±", sign[0], 1)) // so that each changes something
				sign[0], sign[1] = sign[1], sign[0]
			}
		})
	}
}

// fillMailbox puts small messages, all of one record, into alice's INBOX.
func fillMailbox(b *testing.B, n *Node, count int) {
	b.Helper()
	accounts, err := n.directory.ListAccounts(b.Context(), "here.example")
	if err != nil {
		b.Fatal(err)
	}
	var alice int64
	for _, a := range accounts {
		if a.Address.Local == "alice" {
			alice = a.ID
		}
	}
	const each = 1000
	for first := 0; first < count; first += each {
		var list []mailstore.Imported
		for i := first; i < first+each; i++ {
			text := fmt.Sprintf("From: Sender %d <s%d@far.example>\r\nTo: alice@here.example\r\nSubject: message %d\r\nDate: Sun, 22 Nov 2026 01:02:03 +0000\r\nMessage-ID: <%d@far.example>\r\n\r\nHello %d\r\n", i%97, i%97, i, i, i)
			m, err := n.intake.Begin(b.Context(), n.ids.Next(), int64(len(text)))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := m.Write([]byte(text)); err != nil {
				b.Fatal(err)
			}
			m.Close()
			e := mailstore.NewEmail{Size: m.Size(), Received: time.Unix(1_800_000_000+int64(i), 0), Structure: m.Index.Encode(),
				Thread: mailstore.Threading{MessageID: m.Index.Envelope.ID()}}
			if i%10 == 0 { // one in ten has bytes of its own; the rest borrow
				if e.Ref, err = m.Store(b.Context(), &flow.Append{Message: recipe.Whole(m.Self()), Index: e.Structure}); err != nil {
					b.Fatal(err)
				}
				n.intake.Settled(e.Ref)
			} else {
				m.Abort()
				e.Ref = list[len(list)-1].Email.Ref
				e.Size = e.Ref.Length
			}
			list = append(list, mailstore.Imported{Email: e, Flags: mailstore.Flags(i % 2)})
		}
		if err := n.store.Import(b.Context(), alice, mailstore.Inbox(), list); err != nil {
			b.Fatal(err)
		}
	}
}

type imapConn struct {
	b    *testing.B
	conn *tls.Conn
	in   *bufio.Reader
}

func dialIMAP(b *testing.B, n *Node) *imapConn {
	conn, err := tls.Dial("tcp", n.Addresses()["imaps"].String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		b.Fatal(err)
	}
	c := &imapConn{b, conn, bufio.NewReaderSize(conn, 256<<10)}
	if _, err := c.in.ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	c.command("LOGIN alice@here.example pw")
	c.command("SELECT INBOX")
	return c
}

func (c *imapConn) command(s string) {
	if _, err := fmt.Fprintf(c.conn, "t %s\r\n", s); err != nil {
		c.b.Fatal(err)
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			c.b.Fatal(err)
		}
		if len(line) > 1 && line[0] == 't' && line[1] == ' ' {
			if !strings.HasPrefix(string(line), "t OK") {
				c.b.Fatalf("%s: %s", s, line)
			}
			return
		}
	}
}

func (c *imapConn) close() { c.conn.Close() }
