package imap_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

// TestBegin: a message that is not let in is refused before its literal where the client waits for our consent, and read away
// where it does not; whoever was let in is counted out, and none has two places.
func TestBegin(t *testing.T) {
	s := newStore()
	config := testConfig(s)
	inside, most := 0, 0
	var sizes []int64
	config.Begin = func(_ context.Context, from netip.Addr, size int64) (func(), error) {
		sizes = append(sizes, size)
		if size > 10 {
			return nil, status.Temp(452, 3, 1, "Later")
		}
		inside++
		most = max(most, inside)
		return func() { inside-- }, nil
	}
	do := lines(t, newServer(s, config))
	do("LOGIN alice secret")
	for _, c := range []struct{ command, want string }{
		{"APPEND INBOX {11}", "x NO [UNAVAILABLE] Later"},
		{"APPEND INBOX {11+}\r\nSubject: no", "x NO [UNAVAILABLE] Later"},
		{"APPEND INBOX {4+}\r\nA: b {11+}\r\nSubject: no {4+}\r\nA: c", "x NO [UNAVAILABLE] Later"},
		{"APPEND INBOX {4+}\r\nA: b {11}", "x NO [UNAVAILABLE] Later"},
		{"APPEND INBOX {4+}\r\nA: b {4+}\r\nA: c", "x OK [APPENDUID 1001 3:4]"},
		{"APPEND Nowhere {4+}\r\nA: b", "x NO [TRYCREATE]"},
		{"SELECT INBOX", "x OK"},
		{"REPLACE 4 INBOX {11}", "x NO [UNAVAILABLE] Later"},
		{"UID REPLACE 4 INBOX {11+}\r\nSubject: no", "x NO [UNAVAILABLE] Later"},
		{"REPLACE 4 INBOX {4+}\r\nA: d", "x OK"},
		{"STATUS INBOX (MESSAGES)", "x OK"},
	} {
		got := do(c.command)
		if last := got[len(got)-1]; !strings.HasPrefix(last, c.want) {
			t.Errorf("%q: %q", c.command, got)
		}
		if i := strings.Index(strings.Join(got, "\n"), "+ "); i >= 0 {
			t.Errorf("%q: consent in %q", c.command, got)
		}
		if inside != 0 {
			t.Errorf("%q: %d left inside", c.command, inside)
		}
	}
	if most != 1 || fmt.Sprint(sizes) != "[11 11 4 11 4 11 4 4 11 11 4]" {
		t.Errorf("%d at once, sizes %v", most, sizes)
	}
}

// slowClient writes pieces, each after its wait. It returns how long the connection lasted and its last line.
func slowClient(srv *imap.Server, pieces iter.Seq2[time.Duration, string]) (lasted time.Duration, last string) {
	client, server := dialogue.Pipe()
	written := make(chan struct{})
	defer func() { // a bubble's clock stands still once its test has returned
		client.Close()
		<-written
	}()
	go srv.ServeConn(context.Background(), server, imap.Secure)
	go func() {
		defer close(written)
		for wait, text := range pieces {
			time.Sleep(wait)
			if _, err := client.Write([]byte(text)); err != nil {
				return
			}
		}
	}()
	began := time.Now()
	for in := bufio.NewScanner(client); in.Scan(); {
		last = in.Text()
	}
	return time.Since(began), last
}

// TestTrickles: one message that trickles in only holds its place, and a MULTIAPPEND that does held up the journal without end.
// What is slow and steady is taken.
func TestTrickles(t *testing.T) {
	const login = "a LOGIN alice secret\r\n"
	for name, c := range map[string]struct {
		pieces   iter.Seq2[time.Duration, string]
		from, to time.Duration
		last     string
		messages uint32
	}{
		"trickle": {func(yield func(time.Duration, string) bool) {
			for ok := yield(0, login+"b APPEND INBOX {90000+}\r\n"); ok; ok = yield(time.Minute, "x") {
			}
		}, 10 * time.Minute, 11 * time.Minute, "* BYE", 2},
		"steady": {func(yield func(time.Duration, string) bool) {
			ok := yield(0, login+"b APPEND INBOX {90000+}\r\n")
			for i := 0; ok && i < 900; i++ {
				ok = yield(time.Second, strings.Repeat("x", 100))
			}
			_ = ok && yield(0, "\r\nc LOGOUT\r\n")
		}, 15 * time.Minute, 16 * time.Minute, "c OK", 3},
		"many": {func(yield func(time.Duration, string) bool) {
			for ok := yield(0, login+"b APPEND INBOX"); ok; ok = yield(2*time.Minute, " {4+}\r\nA: b") {
			}
		}, time.Hour, 65 * time.Minute, "* BYE", 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				lasted, last := slowClient(newServer(s, testConfig(s)), c.pieces)
				if lasted < c.from || lasted > c.to || !strings.HasPrefix(last, c.last) {
					t.Errorf("after %v: %s", lasted, last)
				}
				account, err := s.Account(t.Context(), sasl.Identity{Name: "alice"})
				if err != nil {
					t.Fatal(err)
				}
				if st, err := account.Status(t.Context(), imap.Name{"INBOX"}); err != nil || st.Messages != c.messages {
					t.Errorf("%d messages, %v", st.Messages, err)
				}
			})
		})
	}
}
