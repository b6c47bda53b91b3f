package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/wire/sasl"
)

// ClientTimeouts are a client's, RFC 5321 §4.5.3.2; a zero field means the default named beside it.
type ClientTimeouts struct {
	Greeting time.Duration // 5 min
	Command  time.Duration // EHLO, MAIL, RCPT, RSET, NOOP, STARTTLS, AUTH, QUIT: each 5 min
	TLS      time.Duration // handshake, 2 min
	DataInit time.Duration // from DATA to 354, 2 min
	Block    time.Duration // until the server takes some more of the message, 3 min
	DataEnd  time.Duration // from the final dot to the reply, 10 min
}

// ClientOptions of a Client.
type ClientOptions struct {
	Hello        string // our name for EHLO
	LMTP         bool   // RFC 2033
	Timeouts     ClientTimeouts
	NoPipelining bool // one command at a time, even if the server offers more
	NoChunking   bool // DATA, even if the server offers BDAT
	// Strict8Bit returns Err8Bit for a message with 8-bit text that the server does not expect (RFC 6152 §3), instead of
	// sending it as it is, which is what works.
	Strict8Bit bool
}

// Phase is a part of a client's session.
type Phase string

// The phases, in order. Up to PhaseData the server cannot have taken the message; in PhaseEnd all of it has been sent and
// a lost connection leaves its fate unknown (RFC 1047).
const (
	PhaseGreeting Phase = "greeting"
	PhaseHello    Phase = "hello"
	PhaseTLS      Phase = "tls"
	PhaseAuth     Phase = "auth"
	PhaseMail     Phase = "mail"
	PhaseRcpt     Phase = "rcpt"
	PhaseData     Phase = "data"
	PhaseEnd      Phase = "end"
)

// ClientError is a failure of a connection or of one of its steps. With a Reply the server refused; without, the
// connection broke or we refused. Client.Usable tells whether the connection can be used on.
type ClientError struct {
	Phase Phase
	Reply Reply // zero: the connection failed
	Err   error // nil if the server replied
}

func (e *ClientError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("smtp: %s: %v", e.Phase, e.Err)
	}
	return fmt.Sprintf("smtp: %s: %s", e.Phase, e.Reply)
}

// Unwrap returns the connection's error, or the refusal as a *status.Error.
func (e *ClientError) Unwrap() error {
	if e.Err != nil {
		return e.Err
	}
	if s := e.Reply.Status(); s != nil {
		return s
	}
	return nil
}

// Client is one connection to a server. It is used by one goroutine. After Hello any number of messages may be sent.
type Client struct {
	conn  net.Conn
	opt   ClientOptions
	in    *bufio.Reader
	out   *bufio.Writer
	ext   map[string]string // by keyword in upper case
	tls   *tls.ConnectionState
	fatal error
	block []byte // for the octets of messages, kept from one to the next
	// Banner and Greeting are the server's first replies.
	Banner, Greeting Reply
	// Heard, if not nil, is called with every reply in its turn.
	Heard func(Phase, Reply)
}

// NewClient makes a Client on a connection; for implicit TLS (RFC 8314) that is a *tls.Conn with its handshake done.
func NewClient(conn net.Conn, opt ClientOptions) *Client {
	t := &opt.Timeouts
	or(&t.Greeting, 5*time.Minute)
	or(&t.Command, 5*time.Minute)
	or(&t.TLS, 2*time.Minute)
	or(&t.DataInit, 2*time.Minute)
	or(&t.Block, 3*time.Minute)
	or(&t.DataEnd, 10*time.Minute)
	c := &Client{opt: opt}
	c.attach(conn)
	return c
}

func (c *Client) attach(conn net.Conn) {
	c.conn = conn
	c.in = bufio.NewReaderSize(conn, maxReplyLine)
	c.out = bufio.NewWriterSize(conn, 4096)
	if t, ok := conn.(*tls.Conn); ok {
		state := t.ConnectionState()
		c.tls = &state
	}
}

// TLS is the state of TLS; nil in the clear.
func (c *Client) TLS() *tls.ConnectionState { return c.tls }

// Extension tells whether the server offers an extension (keyword in upper case), and its parameters.
func (c *Client) Extension(keyword string) (params string, ok bool) {
	params, ok = c.ext[keyword]
	return params, ok
}

// MaxSize is the server's SIZE limit, 0 if it has none or does not tell (RFC 1870 §4).
func (c *Client) MaxSize() int64 {
	n, err := strconv.ParseInt(c.ext["SIZE"], 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Limit is one of the numbers that the server announces by LIMITS (RFC 9422), "RCPTMAX" or "MAILMAX" or
// "RCPTDOMAINMAX"; 0 if it does not.
func (c *Client) Limit(name string) int {
	for _, word := range strings.Fields(strings.ToUpper(c.ext["LIMITS"])) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			n, err := strconv.Atoi(value)
			if err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}

// watch makes ctx's end break whatever waits; call the result when the step is over.
func (c *Client) watch(ctx context.Context) (stop func() bool) {
	conn := c.conn
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// deadline bounds the next reads and writes, unless ctx has ended.
func (c *Client) deadline(ctx context.Context, d time.Duration) error {
	if err := c.conn.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	return ctx.Err() // after SetDeadline: the order with watch's function
}

// broken remembers that the connection cannot be used any more.
func (c *Client) broken(ctx context.Context, phase Phase, err error) error {
	if ctx.Err() != nil && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ctx.Err())) {
		err = context.Cause(ctx)
	}
	c.fatal = err
	return &ClientError{Phase: phase, Err: err}
}

// command sends one line and reads its reply.
func (c *Client) command(ctx context.Context, phase Phase, line string) (Reply, error) {
	if c.fatal != nil {
		return Reply{}, &ClientError{Phase: phase, Err: c.fatal}
	}
	defer c.watch(ctx)()
	c.put(line)
	return c.reply(ctx, phase, c.opt.Timeouts.Command)
}

// put queues a command. A line break in an argument would be a second command: our own slip or somebody's attack.
func (c *Client) put(line string) {
	if strings.ContainsAny(line, "\r\n\x00") {
		line = strings.NewReplacer("\r", "?", "\n", "?", "\x00", "?").Replace(line)
	}
	_, _ = c.out.WriteString(line) // bufio keeps the error for Flush
	_, _ = c.out.WriteString("\r\n")
}

// reply flushes and reads one reply. A 421 is also the connection's end (RFC 5321 §3.8), but a reply all the same.
func (c *Client) reply(ctx context.Context, phase Phase, d time.Duration) (Reply, error) {
	err := c.deadline(ctx, d)
	if err == nil {
		err = c.out.Flush()
	}
	var r Reply
	if err == nil {
		r, err = readReply(c.in)
	}
	if err != nil {
		return Reply{}, c.broken(ctx, phase, err)
	}
	if c.Heard != nil {
		c.Heard(phase, r)
	}
	if r.Code == 421 {
		c.fatal = errors.New("smtp: the server closed with 421")
	}
	return r, nil
}

// Usable tells whether another transaction can be tried on this connection.
func (c *Client) Usable() bool { return c.fatal == nil }

// Hello reads the greeting and says EHLO (or LHLO), then HELO if the server does not know EHLO.
func (c *Client) Hello(ctx context.Context) error {
	defer c.watch(ctx)()
	r, err := c.reply(ctx, PhaseGreeting, c.opt.Timeouts.Greeting)
	if err != nil {
		return err
	}
	if c.Banner = r; r.Code != 220 {
		return &ClientError{Phase: PhaseGreeting, Reply: r}
	}
	return c.hello(ctx)
}

func (c *Client) hello(ctx context.Context) error {
	word := "EHLO "
	if c.opt.LMTP {
		word = "LHLO "
	}
	c.ext = nil
	r, err := c.command(ctx, PhaseHello, word+c.opt.Hello)
	if err != nil {
		return err
	}
	if r.Code/100 == 5 && !c.opt.LMTP && c.fatal == nil { // RFC 5321 §3.2
		if r, err = c.command(ctx, PhaseHello, "HELO "+c.opt.Hello); err != nil {
			return err
		}
	} else if r.Code == 250 {
		c.ext = parseExtensions(r.Lines)
	}
	if c.Greeting = r; r.Code != 250 {
		return &ClientError{Phase: PhaseHello, Reply: r}
	}
	return nil
}

// parseExtensions reads the lines behind the first, RFC 5321 §4.1.1.1.
func parseExtensions(lines []string) map[string]string {
	ext := make(map[string]string, len(lines))
	for _, line := range lines[min(1, len(lines)):] {
		keyword, params, _ := strings.Cut(line, " ")
		keyword = strings.ToUpper(keyword)
		// Some old servers say "AUTH=LOGIN PLAIN" besides the proper line, or alone.
		if rest, old := strings.CutPrefix(keyword, "AUTH="); old {
			if _, known := ext["AUTH"]; !known {
				ext["AUTH"] = strings.TrimSpace(rest + " " + params)
			}
			continue
		}
		ext[keyword] = strings.TrimSpace(params)
	}
	return ext
}

// StartTLS says STARTTLS, does the handshake with config, and greets again (RFC 3207 §4.2). A *ClientError with a Reply
// says that the server did not want to: the connection is still good in the clear, for those who may use that.
func (c *Client) StartTLS(ctx context.Context, config *tls.Config) error {
	r, err := c.command(ctx, PhaseTLS, "STARTTLS")
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return &ClientError{Phase: PhaseTLS, Reply: r}
	}
	if c.in.Buffered() > 0 { // what the server, or somebody between, said in the clear behind 220
		return c.broken(ctx, PhaseTLS, errors.New("plain text behind the reply to STARTTLS"))
	}
	_ = c.conn.SetDeadline(time.Time{})
	bounded, cancel := context.WithTimeout(ctx, c.opt.Timeouts.TLS)
	defer cancel()
	up := tls.Client(c.conn, config)
	if err := up.HandshakeContext(bounded); err != nil {
		return c.broken(ctx, PhaseTLS, err)
	}
	c.attach(up)
	return c.hello(ctx)
}

// Auth authenticates, RFC 4954. It refuses to send anything of the kind in the clear.
func (c *Client) Auth(ctx context.Context, cred sasl.Credentials) error {
	if c.tls == nil {
		return &ClientError{Phase: PhaseAuth, Err: errors.New("no authentication without TLS")}
	}
	x, err := sasl.NewClient(strings.Fields(c.ext["AUTH"]), cred)
	if err != nil {
		return &ClientError{Phase: PhaseAuth, Err: err}
	}
	initial, err := x.Initial()
	if err != nil {
		return &ClientError{Phase: PhaseAuth, Err: err}
	}
	line, wait := "AUTH "+x.Mechanism(), initial
	if encoded := sasl.EncodeInitial(initial); initial != nil && len(line)+len(encoded)+3 <= 512 {
		line, wait = line+" "+encoded, nil // RFC 4954 §4: too long for the line goes after the first challenge
	}
	r, err := c.command(ctx, PhaseAuth, line)
	for ; err == nil && r.Code == 334; r, err = c.command(ctx, PhaseAuth, line) {
		response := wait
		if wait = nil; response == nil {
			if response, err = c.respond(x, r); err != nil {
				_, _ = c.command(ctx, PhaseAuth, "*")
				return &ClientError{Phase: PhaseAuth, Err: err}
			}
		}
		line = sasl.Encode(response)
	}
	if err != nil {
		return err
	}
	if r.Code != 235 {
		return &ClientError{Phase: PhaseAuth, Reply: r}
	}
	if err := x.Finish(); err != nil {
		return c.broken(ctx, PhaseAuth, err)
	}
	return nil
}

func (c *Client) respond(x sasl.Client, r Reply) ([]byte, error) {
	challenge, err := sasl.DecodeResponse(strings.TrimSpace(strings.Join(r.Lines, "")))
	if err != nil {
		return nil, err
	}
	return x.Next(challenge)
}

// Noop asks whether the server is still there.
func (c *Client) Noop(ctx context.Context) error { return c.expectOK(ctx, PhaseHello, "NOOP") }

// Reset says RSET.
func (c *Client) Reset(ctx context.Context) error { return c.expectOK(ctx, PhaseMail, "RSET") }

func (c *Client) expectOK(ctx context.Context, phase Phase, line string) error {
	r, err := c.command(ctx, phase, line)
	if err == nil && r.Code/100 != 2 {
		err = &ClientError{Phase: phase, Reply: r}
	}
	return err
}

// Quit says QUIT, waits for the reply (RFC 5321 §4.1.1.10) and closes the connection.
func (c *Client) Quit(ctx context.Context) error {
	var err error
	if c.fatal == nil {
		_, err = c.command(ctx, PhaseHello, "QUIT")
	}
	_ = c.Close() // a server that has closed first is no failure
	return err
}

// Close breaks the connection.
func (c *Client) Close() error {
	if c.fatal == nil {
		c.fatal = net.ErrClosed
	}
	return c.conn.Close()
}

// Mechanisms that the server offers for AUTH.
func (c *Client) Mechanisms() []string { return slices.Clip(strings.Fields(c.ext["AUTH"])) }
