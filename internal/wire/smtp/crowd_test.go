package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/link"
	"github.com/postrider/postrider/test/dialogue"
)

// TestBegin: who is not let in reads why instead of 354, nothing of what was sent ahead becomes a message, and whoever was
// let in is counted out.
func TestBegin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &backend{}
		var sizes []int64
		inside := 0
		s := testServer(t, "", b, func(c *Config) {
			c.Begin = func(_ context.Context, _ netip.Addr, size int64) (func(), error) {
				sizes = append(sizes, size)
				if size > 100 {
					return nil, status.Temp(452, 3, 1, "Later")
				}
				inside++
				return func() { inside-- }, nil
			}
		})
		play(t, s, TLSStart, `
S: 220 mx.example.test ESMTP
C> EHLO c\r\nMAIL FROM:<a@b.example> SIZE=500\r\nRCPT TO:<b@example.test>\r\nDATA\r\n
S...: 452 4.3.1 Later
C: RSET
S: 250 2.0.0 Ok
C> MAIL FROM:<a@b.example> SIZE=500\r\nRCPT TO:<b@example.test>\r\nBDAT 7\r\nfirst\r\nBDAT 11 LAST\r\nsecond 78\r\n
S: 250 2.1.0 Ok
S: 250 2.1.5 Ok
S: 452 4.3.1 Later
S: /503 .*/
C> MAIL FROM:<a@b.example> SIZE=50\r\nRCPT TO:<b@example.test>\r\nDATA\r\n
S: 250 2.1.0 Ok
S: 250 2.1.5 Ok
S: 354 End data with <CR><LF>.<CR><LF>
C: let in
C: .
S: /250 2.0.0 Ok: .*/
C-close`)
		if len(b.got) != 1 || inside != 0 || fmt.Sprint(sizes) != "[500 500 50]" {
			t.Errorf("%d messages, %d inside, sizes %v", len(b.got), inside, sizes)
		}
	})
}

// TestTrickle: a message that comes too slowly to be one is ended long before Timeouts.Transaction, though its client never
// is silent for long.
func TestTrickle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := testServer(t, "", &backend{}, nil)
		near, far := net.Pipe()
		go s.ServeConn(context.Background(), near, TLSStart)
		in := bufio.NewReader(far)
		say := func(line string) string {
			if _, err := far.Write([]byte(line + "\r\n")); err != nil {
				return err.Error()
			}
			answer, _ := in.ReadString('\n')
			return answer
		}
		_, _ = in.ReadString('\n')
		for _, line := range []string{"HELO c", "MAIL FROM:<a@b.example>", "RCPT TO:<b@example.test>", "DATA"} {
			say(line)
		}
		began := time.Now()
		answer := make(chan string)
		go func() { line, _ := in.ReadString('\n'); answer <- line }()
		for time.Since(began) < 20*time.Minute {
			if _, err := far.Write([]byte("x\r\n")); err != nil {
				break
			}
			time.Sleep(10 * time.Second)
		}
		if line := <-answer; !strings.HasPrefix(line, "421 4.4.2 ") {
			t.Errorf("%q", line)
		}
		if took := time.Since(began); took < slowStart || took > slowStart+30*time.Second {
			t.Errorf("after %v", took)
		}
		far.Close()
	})
}

// TestTrickleOfChunks: neither do chunks of a message that is never complete, with commands in between, hold its place.
func TestTrickleOfChunks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := testServer(t, "", &backend{}, nil)
		near, far := net.Pipe()
		go s.ServeConn(context.Background(), near, TLSStart)
		began := time.Now()
		var group sync.WaitGroup
		group.Go(func() {
			_, _ = io.WriteString(far, "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@example.test>\r\nBDAT 1\r\nx")
			for {
				time.Sleep(4 * time.Minute)
				if _, err := io.WriteString(far, "NOOP\r\n"); err != nil {
					return
				}
			}
		})
		text, _ := io.ReadAll(far)
		if took := time.Since(began); took > slowStart+time.Minute || !strings.Contains(string(text), "\n421 4.4.2 ") {
			t.Errorf("after %v: %s", took, text)
		}
		far.Close()
		group.Wait()
	})
}

// TestTurnedAwayUnderTLS: on a listener with TLS from the first byte too it is said that there is no room; of a flood only
// some hear it.
func TestTurnedAwayUnderTLS(t *testing.T) {
	server, client := dialogue.TLS(t)
	s := testServer(t, "", &backend{}, func(c *Config) { c.Shared, c.TLS = link.NewShared(0, 1), server })
	near, far := net.Pipe()
	go s.ServeConn(t.Context(), near, TLSImplicit)
	c := tls.Client(far, client)
	defer c.Close()
	if text, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(text), "421 4.3.2 ") {
		t.Errorf("%q, %v", text, err)
	}
	if s.Refused() != 1 {
		t.Errorf("%d refused", s.Refused())
	}
}

// TestShutdownDuringHandshake: clients that are silent where TLS should begin do not hold up the server's end.
func TestShutdownDuringHandshake(t *testing.T) {
	config, _ := dialogue.TLS(t)
	bubble(t, func(t *testing.T) {
		for _, mode := range []TLSMode{TLSImplicit, TLSStart} {
			s := testServer(t, "", &backend{}, func(c *Config) { c.Shared, c.TLS = link.NewShared(1000, 1), config })
			for range 100 {
				near, far := net.Pipe()
				go s.ServeConn(t.Context(), near, mode)
				defer far.Close()
				if mode == TLSStart {
					in := bufio.NewReader(far)
					_, _ = in.ReadString('\n')
					_, _ = io.WriteString(far, "EHLO c\r\nSTARTTLS\r\n")
					for line := ""; !strings.HasPrefix(line, "220 "); line, _ = in.ReadString('\n') {
					}
				}
			}
			synctest.Wait()
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil || time.Since(began) > time.Second {
				t.Errorf("mode %d: %v after %v", mode, err, time.Since(began))
			}
		}
	})
}
