package node

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"testing"
)

// BenchmarkPOP3 runs sessions over the real store, each answer read to its end. LOGIN, LIST and UIDL are over a maildrop of
// 100,000 messages; RETR fetches 1,000 of them, one after the other as most clients do, and pipelined (RFC 2449 §6.8). One
// operation is the whole of it.
func BenchmarkPOP3(b *testing.B) {
	n, _ := start(b, testConfig(b, b.TempDir()))
	addUser(b, n, "alice", "pw")
	fillMailbox(b, n, 100_000)
	b.Run("LOGIN", func(b *testing.B) {
		for b.Loop() {
			dialPOP3Bench(b, n).quit()
		}
	})
	for _, command := range []string{"LIST", "UIDL"} {
		b.Run(command, func(b *testing.B) {
			c := dialPOP3Bench(b, n)
			defer c.quit()
			for b.Loop() {
				c.send(command + "\r\n")
				c.multi()
			}
		})
	}
	const messages = 1000
	b.Run("RETR_1000_in_turn", func(b *testing.B) {
		c := dialPOP3Bench(b, n)
		defer c.quit()
		for b.Loop() {
			for i := range messages {
				c.send(fmt.Sprintf("RETR %d\r\n", 5000+i))
				c.multi()
			}
		}
	})
	b.Run("RETR_1000_pipelined", func(b *testing.B) {
		var all bytes.Buffer
		for i := range messages {
			fmt.Fprintf(&all, "RETR %d\r\n", 5000+i)
		}
		c := dialPOP3Bench(b, n)
		defer c.quit()
		for b.Loop() {
			c.send(all.String())
			for range messages {
				c.multi()
			}
		}
	})
}

type pop3Conn struct {
	b    *testing.B
	conn *tls.Conn
	in   *bufio.Reader
}

func dialPOP3Bench(b *testing.B, n *Node) *pop3Conn {
	conn, err := tls.Dial("tcp", n.Addresses()["pop3s"].String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		b.Fatal(err)
	}
	c := &pop3Conn{b, conn, bufio.NewReaderSize(conn, 256<<10)}
	c.ok()
	c.send("USER alice@here.example\r\nPASS pw\r\n")
	c.ok()
	c.ok()
	return c
}

func (c *pop3Conn) send(s string) {
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.b.Fatal(err)
	}
}

func (c *pop3Conn) ok() {
	line, err := c.in.ReadSlice('\n')
	if err != nil || line[0] != '+' {
		c.b.Fatalf("%q %v", line, err)
	}
}

// multi reads a multi-line response.
func (c *pop3Conn) multi() {
	c.ok()
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			c.b.Fatal(err)
		}
		if string(line) == ".\r\n" {
			return
		}
	}
}

// quit marks everything fetched as seen, the first time.
func (c *pop3Conn) quit() {
	c.send("QUIT\r\n")
	c.ok()
	c.conn.Close()
}
