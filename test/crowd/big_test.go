package crowd

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// big is a crowd of large messages that are all half here before any is complete.
type big struct {
	n    int
	size int   // of each, bytes
	most int64 // bytes of memory for each, at the peak
}

// TestBigMessagesShort: two dozen.
func TestBigMessagesShort(t *testing.T) {
	big{n: 24, size: 2 << 20, most: 2 << 20}.run(t) // the few carry what the first of anything costs
}

// TestBigMessagesFull: 1,000 of 10 MiB at once.
func TestBigMessagesFull(t *testing.T) {
	needs.Long(t, "10 GiB of messages; minutes, and the disk")
	big{n: 1000, size: 10 << 20, most: 512 << 10}.run(t)
}

func (b big) run(t *testing.T) {
	s := system.Start(t, system.Options{Set: []string{fmt.Sprintf("smtp.max_connections=%d", b.n+10),
		fmt.Sprintf("limits.messages_at_once=%d", b.n+1), `limits.drain_timeout="20s"`}}) // one for the witness
	p := Process(s.Pid())
	quiet := p.Resident(t)
	p.ForgetPeak()
	chunk := []byte(strings.Repeat(strings.Repeat("a large message, ", 4)+"\r\n", 936)) // just under 64 KiB
	half := (b.size / len(chunk)) / 2

	var ready sync.WaitGroup
	ready.Add(b.n)
	release := make(chan struct{})
	sent := make(chan error, 1)
	began := time.Now()
	var list []*Client
	go func() {
		var err error
		list, err = Gather(b.n, b.n, func(i int) (*Client, error) {
			arrived := sync.OnceFunc(ready.Done)
			defer arrived()
			c, err := Dial(s.Listeners["smtp"], Source(i), nil)
			if err != nil {
				return nil, err
			}
			return c, b.send(c, s.Bob.Address, chunk, half, func() { arrived(); <-release })
		})
		sent <- err
	}()
	ready.Wait()
	t.Logf("%d messages of %d MiB, half of each here: resident %d MiB, peak %d MiB, %d MiB at first; %d descriptors", b.n, b.size>>20,
		p.Resident(t)>>20, p.Peak(t)>>20, quiet>>20, p.Files(t))
	deliver(t, s, Source(70_000), false)
	close(release)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	peak := p.Peak(t)
	t.Logf("all acknowledged after %v; peak %d MiB, %d KiB for each", time.Since(began).Round(time.Millisecond), peak>>20, (peak-quiet)/int64(b.n)>>10)
	if peak-quiet > int64(b.n)*b.most {
		t.Errorf("peak of %d MiB over %d MiB, want at most %d KiB for each", peak>>20, quiet>>20, b.most>>10)
	}
	Disperse(list)
	b.arrived(t, s)
}

// send sends one message, and calls middle when half is sent.
func (b big) send(c *Client, to string, chunk []byte, half int, middle func()) error {
	if err := c.Hello(nil); err != nil {
		return err
	}
	for _, step := range [][2]string{{fmt.Sprintf("MAIL FROM:<big@sender.example> SIZE=%d", b.size), "250"}, {"RCPT TO:<" + to + ">", "250"}, {"DATA", "354"}} {
		if err := c.SMTP(step[0], step[1]); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(c, "Subject: large\r\n\r\n"); err != nil {
		return err
	}
	for i := range b.size / len(chunk) {
		if i == half {
			middle()
		}
		if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := c.Write(chunk); err != nil {
			return err
		}
	}
	return c.SMTP(".", "250")
}

// arrived waits until all messages are in the mailbox, and that of deliver.
func (b big) arrived(t *testing.T, s *system.System) {
	t.Helper()
	operator, err := admin.Dial(t.Context(), filepath.Join(s.Dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	have := 0
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		list, err := operator.Messages(t.Context(), admin.MessageQuery{Account: s.Bob.Address, Mailbox: "INBOX"})
		if err != nil {
			t.Fatal(err)
		}
		if have = len(list); have == b.n+1 {
			return
		}
	}
	t.Errorf("%d of %d messages in the mailbox", have, b.n+1)
}
