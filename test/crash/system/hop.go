package system

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
)

// Hop is the mail exchanger of another domain, with moods: it defers, hangs up in the midst of a message or behind it,
// or takes it. It never refuses for good.
type Hop struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	rand  *rand.Rand
	calm  bool           // takes everything from now on
	times map[string]int // by "recipient token"
	errs  []error
	Moods [moods]int // how often each came about
}

// The moods, of one transaction.
const (
	takes      = iota
	defersRcpt // 450 to RCPT
	defersEnd  // 451 behind the message
	leaves     // hangs up in the midst of the message
	forgets    // takes the message, and hangs up before the reply (RFC 1047)
	turnsAway  // 421 instead of a greeting
	moods
)

// ListenHop starts one at an address.
func ListenHop(address string, seed uint64) (*Hop, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	h := &Hop{listener: l, rand: rand.New(rand.NewPCG(seed, 1)), times: map[string]int{}}
	h.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.wg.Go(func() {
				defer c.Close()
				_ = h.session(c) // the server is killed while it talks
			})
		}
	})
	return h, nil
}

// Close stops it.
func (h *Hop) Close() error {
	err := h.listener.Close()
	h.wg.Wait()
	return err
}

// Calm ends its moods.
func (h *Hop) Calm() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calm = true
}

// Times is how often each recipient got each token, as "recipient token", and which messages came damaged.
func (h *Hop) Times() (map[string]int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string]int, len(h.times))
	for k, n := range h.times {
		out[k] = n
	}
	return out, errors.Join(h.errs...)
}

func (h *Hop) mood(of ...int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := of[h.rand.IntN(len(of))]
	if h.calm {
		m = takes
	}
	h.Moods[m]++
	return m
}

func (h *Hop) session(c net.Conn) error {
	in := bufio.NewReader(c)
	say := func(reply string) { fmt.Fprintf(c, "%s\r\n", reply) }
	if h.mood(takes, takes, takes, takes, takes, takes, turnsAway) == turnsAway {
		say("421 4.3.2 not now")
		return nil
	}
	say("220 hop.example ESMTP")
	var to []string
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimSpace(line)
		switch verb := strings.ToUpper(line); {
		case strings.HasPrefix(verb, "EHLO"):
			say("250-hop.example\r\n250 SIZE 100000000")
		case strings.HasPrefix(verb, "MAIL"):
			to = nil
			say("250 2.1.0 ok")
		case strings.HasPrefix(verb, "RCPT"):
			if h.mood(takes, takes, takes, defersRcpt) == defersRcpt {
				say("450 4.2.1 come again")
				continue
			}
			_, rcpt, _ := strings.Cut(line, "<")
			rcpt, _, _ = strings.Cut(rcpt, ">")
			to = append(to, rcpt)
			say("250 2.1.5 ok")
		case verb == "DATA" && len(to) == 0:
			say("554 5.5.1 no recipients")
		case verb == "DATA":
			if err := h.message(in, say, to); err != nil {
				return err
			}
		case verb == "QUIT":
			say("221 2.0.0 bye")
			return nil
		default:
			say("250 2.0.0 ok")
		}
	}
}

var errLeft = errors.New("hung up")

func (h *Hop) message(in *bufio.Reader, say func(string), to []string) error {
	m := h.mood(takes, takes, takes, takes, defersEnd, leaves, forgets)
	say("354 go ahead")
	if m == leaves {
		_, _ = in.ReadString('\n') // some of it
		return errLeft
	}
	text, err := data(in)
	if err != nil {
		return err
	}
	if m == defersEnd {
		say("451 4.3.0 come again")
		return nil
	}
	h.take(text, to)
	if m == forgets {
		return errLeft
	}
	say("250 2.0.0 taken")
	return nil
}

func (h *Hop) take(text []byte, to []string) {
	token, _, err := Read(text)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.errs = append(h.errs, fmt.Errorf("at the next hop of %q: %w", to, err))
		return
	}
	for _, rcpt := range to {
		h.times[rcpt+" "+token]++
	}
}
