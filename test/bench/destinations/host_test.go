package destinations

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// kind is how a destination's host behaves.
type kind int

const (
	healthy kind = iota
	slow         // each of its replies takes its time
	refused      // nobody listens there
	mute         // connections are taken, and nothing is ever said
)

func (k kind) String() string { return [...]string{"healthy", "slow", "refused", "mute"}[k] }

// arrival is a message that has come whole.
type arrival struct {
	number int // of the destination
	sent   int64
	took   time.Duration
}

// host is the mail exchanger of one destination, on an address of its own.
type host struct {
	number int
	kind   kind
	delay  time.Duration // of each reply
	got    func(arrival)

	mu    sync.Mutex
	conns map[net.Conn]bool
	done  bool
	wg    sync.WaitGroup
	l     net.Listener
}

// address is where the host of a destination listens: all of 127.0.0.0/8 is ours (RFC 1122 §3.2.1.3).
func address(number int) string { return fmt.Sprintf("127.9.%d.%d", number/250, 1+number%250) }

func (h *host) listen(port int) (err error) {
	if h.kind == refused {
		return nil
	}
	h.conns = map[net.Conn]bool{}
	if h.l, err = net.Listen("tcp", net.JoinHostPort(address(h.number), strconv.Itoa(port))); err != nil {
		return err
	}
	h.wg.Go(func() {
		for {
			c, err := h.l.Accept()
			if err != nil {
				return
			}
			h.take(c)
		}
	})
	return nil
}

func (h *host) take(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done {
		c.Close()
		return
	}
	h.conns[c] = true
	if h.kind == mute {
		return // it stays open until the end
	}
	h.wg.Go(func() {
		h.session(c)
		h.mu.Lock()
		delete(h.conns, c)
		h.mu.Unlock()
		c.Close()
	})
}

func (h *host) close() {
	if h.l == nil {
		return
	}
	h.l.Close()
	h.mu.Lock()
	h.done = true
	for c := range h.conns {
		c.Close()
	}
	h.mu.Unlock()
	h.wg.Wait()
}

// session takes mail. Replies to commands that came together go together, as those of a real server with PIPELINING.
func (h *host) session(c net.Conn) {
	in, out := bufio.NewReader(c), bufio.NewWriter(c)
	say := func(reply string) error {
		time.Sleep(h.delay)
		fmt.Fprintf(out, "%s\r\n", reply)
		if in.Buffered() > 0 {
			return nil
		}
		return out.Flush()
	}
	err := say("220 there ESMTP")
	for err == nil {
		var line string
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "EHLO"):
			err = say("250-there\r\n250-PIPELINING\r\n250 8BITMIME")
		case verb == "DATA":
			if err = say("354 go ahead"); err == nil {
				err = h.message(in)
			}
			if err == nil {
				err = say("250 2.0.0 taken")
			}
		case verb == "QUIT":
			say("221 2.0.0 bye")
			return
		default:
			err = say("250 2.0.0 ok")
		}
	}
}

// message reads one, which says when it was sent.
func (h *host) message(in *bufio.Reader) error {
	var a arrival
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if line == ".\r\n" {
			break
		}
		if stamp, ok := strings.CutPrefix(line, "X-Sent: "); ok {
			if a.sent, err = strconv.ParseInt(strings.TrimSpace(stamp), 10, 64); err != nil {
				return err
			}
		}
	}
	a.number, a.took = h.number, time.Duration(time.Now().UnixNano()-a.sent)
	h.got(a)
	return nil
}
