package destinations

import (
	"fmt"
	"net/smtp"
	"sync"
	"testing"
	"time"
)

const (
	senders       = 8   // sessions that mail comes by
	perConnection = 500 // messages of one connection
)

// offer sends one message after the other at a steady rate, each to the next destination, and returns how many each was
// promised. A message says when it was begun.
func offer(t *testing.T, addr string, perSecond int, long time.Duration) (promised [destinations]int) {
	t.Helper()
	type turn struct{ number int }
	turns := make(chan turn, perSecond)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			used := 0
			c, err := smtp.Dial(addr)
			for next := range turns {
				if used++; err == nil && used%perConnection == 0 {
					c.Quit()
					c, err = smtp.Dial(addr)
				}
				if err == nil {
					err = send(c, next.number)
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				promised[next.number]++
				mu.Unlock()
			}
			if err == nil {
				err = c.Quit()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for n, end := 0, time.Now().Add(long); time.Now().Before(end); n++ {
		<-tick.C
		turns <- turn{n * stride % destinations}
	}
	close(turns)
	wg.Wait()
	return promised
}

func send(c *smtp.Client, number int) error {
	if err := c.Mail(fmt.Sprintf("sender%d@here.example", number%7)); err != nil {
		return err
	}
	if err := c.Rcpt(fmt.Sprintf("reader@%s", domain(number))); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "X-Sent: %d\r\nFrom: <sender@here.example>\r\nSubject: to %d\r\n\r\n%0*d\r\n", time.Now().UnixNano(), number, 900, number)
	return w.Close()
}
