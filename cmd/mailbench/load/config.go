package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a configuration, so that a slip of the keyboard is told and not tried.
const (
	maxSessions   = 20000
	maxRecipients = 1_000_000
	MinSize       = 512
	MaxSize       = 256 << 20
)

// Config says what to send and to whom. The zero values of the optional fields are useful.
type Config struct {
	Addr  string // host:port, or a path for a unix socket
	Local net.IP // where to connect from; nil: wherever the system says
	LMTP  bool

	Sessions int
	Duration time.Duration // either this
	Messages int64         // or this: in all, over all sessions

	Sizes             []int    // bytes of a message with its header, as stored: without dot-stuffing and the final dot; used in turn
	From              string   // "" is the null reverse-path
	Recipients        []string // used in turn; see ExpandRecipients
	PerMessage        int      // recipients of one message (1)
	PerConnection     int      // messages sent over one connection (0: no limit)
	NoPipelining      bool     // do not use PIPELINING (RFC 2920) even where offered
	Helo              string   // "mailbench.invalid"
	StartTLS          bool     // RFC 3207
	TLS               *tls.Config
	ImplicitTLS       bool // RFC 8314 §3.3
	Username          string
	Password          string
	ServerPIDs        []int              // processes whose CPU time and memory are measured; none: not measured
	ID                uint32             // of the run, in each Message-ID; 0: by chance
	Message           func(int64) []byte // if not nil, makes message n: no line begins with a dot, the last ends in CRLF
	Sent              func(Sent)         // if not nil, is told of every promised delivery; many sessions call it at once
	ReplyTimeout      time.Duration      // 5 min, the least that RFC 5321 §4.5.3.2 asks of a client for most replies
	reconnectInterval time.Duration
}

// Sent is a delivery that the server has promised by its reply to the end of data.
type Sent struct {
	Number    int64     // of the message, as in its Message-ID
	Recipient int       // as an index into Config.Recipients
	Begun     time.Time // when the first byte of the message was sent
}

func (c *Config) check() error {
	switch {
	case c.Addr == "":
		return errors.New("no address to connect to")
	case c.Sessions < 1 || c.Sessions > maxSessions:
		return fmt.Errorf("sessions: %d is not between 1 and %d", c.Sessions, maxSessions)
	case (c.Duration > 0) == (c.Messages > 0):
		return errors.New("give either a time or a number of messages")
	case len(c.Sizes) == 0:
		return errors.New("no size")
	case slices.Min(c.Sizes) < MinSize || slices.Max(c.Sizes) > MaxSize:
		return fmt.Errorf("size: %v: not all between %d and %d bytes", c.Sizes, MinSize, MaxSize)
	case len(c.Recipients) == 0:
		return errors.New("no recipients")
	case c.PerMessage < 0 || c.PerMessage > len(c.Recipients):
		return fmt.Errorf("%d recipients for each message, but only %d are known", c.PerMessage, len(c.Recipients))
	case c.StartTLS && c.ImplicitTLS:
		return errors.New("STARTTLS and TLS from the start exclude each other")
	}
	for _, a := range append([]string{c.From, c.Username, c.Helo}, c.Recipients...) {
		if strings.ContainsAny(a, "\r\n<>\x00") {
			return fmt.Errorf("%q has a character that no command may carry", a)
		}
	}
	return nil
}

// withDefaults returns a copy whose optional fields are filled.
func (c Config) withDefaults() Config {
	c.PerMessage = max(c.PerMessage, 1)
	if c.Helo == "" {
		c.Helo = "mailbench.invalid"
	}
	if c.ReplyTimeout <= 0 {
		c.ReplyTimeout = 5 * time.Minute
	}
	if c.reconnectInterval <= 0 {
		c.reconnectInterval = 100 * time.Millisecond
	}
	return c
}

// ExpandRecipients turns addresses into the list to use: an address with %d in it stands for count addresses, numbered
// from 1.
func ExpandRecipients(patterns []string, count int) ([]string, error) {
	var out []string
	for _, p := range patterns {
		if !strings.Contains(p, "%d") {
			out = append(out, p)
			continue
		}
		if count < 1 || count > maxRecipients {
			return nil, fmt.Errorf("%s: a count between 1 and %d is needed, not %d", p, maxRecipients, count)
		}
		for i := 1; i <= count; i++ {
			out = append(out, strings.Replace(p, "%d", strconv.Itoa(i), 1))
		}
	}
	return out, nil
}
