package system

import (
	"fmt"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// arriveTimeout bounds the waiting for deliveries, which follow the 250 at once.
const arriveTimeout = time.Minute

// IMAP opens a session over TLS, logged in, which ends with the test.
func (s *System) IMAP(t testing.TB, a Account) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(s.Listeners["imaps"], &imapclient.Options{TLSConfig: s.TLS(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(a.Address, a.Password).Wait(); err != nil {
		t.Fatalf("login %s: %v", a.Address, err)
	}
	return c
}

// Count returns the number of messages in a mailbox.
func Count(t testing.TB, c *imapclient.Client, mailbox string) int {
	t.Helper()
	data, err := c.Status(mailbox, &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil || data.NumMessages == nil {
		t.Fatalf("STATUS %s: %v", mailbox, err)
	}
	return int(*data.NumMessages)
}

// Await waits until a mailbox has exactly n messages.
func (s *System) Await(t testing.TB, a Account, mailbox string, n int) {
	t.Helper()
	c := s.IMAP(t, a)
	defer c.Close()
	have := 0
	for end := time.Now().Add(arriveTimeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if have = Count(t, c, mailbox); have == n {
			return
		}
	}
	t.Fatalf("%s of %s has %d messages, want %d", mailbox, a.Address, have, n)
}

// Append puts messages into a mailbox, in order.
func Append(t testing.TB, c *imapclient.Client, mailbox string, messages ...[]byte) {
	t.Helper()
	for i, m := range messages {
		cmd := c.Append(mailbox, int64(len(m)), nil)
		_, err := cmd.Write(m)
		if err == nil {
			err = cmd.Close()
		}
		if err == nil {
			_, err = cmd.Wait()
		}
		if err != nil {
			t.Fatal(fmt.Errorf("APPEND %d: %w", i, err))
		}
	}
}

// Bodies returns the messages of a mailbox as they are stored, in order.
func Bodies(t testing.TB, c *imapclient.Client, mailbox string) [][]byte {
	t.Helper()
	data, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if data.NumMessages == 0 {
		return nil
	}
	all := &imap.FetchItemBodySection{Peek: true}
	msgs, err := c.Fetch(imap.SeqSet{imap.SeqRange{Start: 1, Stop: 0}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{all}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	out := make([][]byte, len(msgs))
	for i, m := range msgs {
		out[i] = m.FindBodySection(all)
	}
	return out
}
