package imap_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/test/dialogue"
)

// TestIdleInPieces: IDLE is a state of the connection, whose reader is given back while it waits: however the bytes around
// it are cut into packets, none is lost and none is taken for another command.
func TestIdleInPieces(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct{ sent, want string }{
		{"b IDLE\r\nDONE\r\n", "b OK"},
		{"b NOOP\r\nc IDLE\r\ndone\r\nd NOOP\r\n", "b OK c OK d OK"},
		{"b IDLE\r\nDONEX\r\nc NOOP\r\n", "b BAD c OK"},
		{"b IDLE\r\n\r\nc NOOP\r\n", "b BAD c OK"},
		{"b IDLE\r\n" + long + "\r\nc NOOP\r\n", "b BAD c OK"},
		{"b IDLE x\r\nc IDLE\r\nDONE\r\n", "b BAD c OK"},
		{"b SELECT INBOX\r\nc IDLE\r\nDONE\r\nd IDLE\r\nDONE\r\n", "b OK c OK d OK"},
		{"b IDLE\r\nDONE\r\nc CREATE {70}\r\n" + strings.Repeat("n", 70) + "\r\n", "b OK c OK"},
	} {
		for _, size := range []int{1, 3, 64, 65, len(c.sent)} {
			s := newStore()
			client, server := dialogue.Pipe()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				newServer(s, testConfig(s)).ServeConn(context.Background(), server, imap.Secure)
			}()
			p := newPeer(t, client)
			p.send("a LOGIN alice secret")
			p.until("a OK")
			go func() {
				for rest := c.sent + "z LOGOUT\r\n"; rest != ""; {
					n, err := io.WriteString(client, rest[:min(size, len(rest))])
					if rest = rest[n:]; err != nil {
						return
					}
				}
			}()
			var got []string
			for {
				line, err := p.in.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if line[0] == 'z' {
					break
				}
				if line[0] >= 'a' && line[0] <= 'z' {
					got = append(got, strings.Join(strings.Fields(line)[:2], " "))
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%.60q in pieces of %d: %q, want %s", c.sent, size, got, c.want)
			}
			client.Close()
			<-ended
		}
	}
}

// TestHalfALineInIdle: who sends a part of DONE and no more is ended as one who sends a part of a command.
func TestHalfALineInIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		client, server := dialogue.Pipe()
		go newServer(s, testConfig(s)).ServeConn(context.Background(), server, imap.Secure)
		p := newPeer(t, client)
		p.send("a LOGIN alice secret")
		p.send("b SELECT INBOX")
		p.send("c IDLE")
		p.until("+ idling")
		if _, err := io.WriteString(client, "DO"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Deliver("alice", imap.Name{"INBOX"}, plainMessage, view.Flags{})
		began := time.Now()
		p.until("* BYE")
		if took := time.Since(began); took > 5*time.Minute {
			t.Errorf("half a line kept the connection for %v", took)
		}
	})
}
