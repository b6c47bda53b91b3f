package dovecotauth

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// conn is one connection. Its goroutine reads; each request has one that answers.
type conn struct {
	net.Conn
	cfg    *Config
	cancel context.CancelFunc
	number uint64
	group  sync.WaitGroup

	mu      sync.Mutex
	waiting map[uint32]chan []byte // requests under way, and where their next response goes; holds one

	writing sync.Mutex
}

// cutOff ends the connection from outside.
func (c *conn) cutOff() {
	c.cancel()
	_ = c.Close()
}

// serve reads lines until the client has gone.
func (c *conn) serve(ctx context.Context) error {
	defer c.group.Wait()
	defer c.cancel()
	if err := c.say(c.handshake()); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c.Conn, 4096)
	// Nothing is asked before the client has said its version; afterwards it may be silent for as long as it likes.
	_ = c.SetReadDeadline(time.Now().Add(handshakeTime))
	versioned := false
	for {
		line, err := readLine(r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		fields := strings.SplitN(line, "\t", maxFields+1)
		if len(fields) > maxFields {
			return errProtocol
		}
		switch verb := fields[0]; {
		case verb == "VERSION":
			if len(fields) < 2 || fields[1] != "1" {
				return fmt.Errorf("%w: version %q; ours is 1", errProtocol, strings.Join(fields[1:], "."))
			}
			versioned = true
			_ = c.SetReadDeadline(time.Time{})
		case !versioned:
			return fmt.Errorf("%w: a line before VERSION", errProtocol)
		default:
			if err := c.obey(ctx, verb, fields[1:]); err != nil {
				return err
			}
		}
	}
}

// readLine bounds what it reads.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		piece, err := r.ReadSlice('\n')
		line = append(line, piece...)
		if len(line) > maxLine {
			return "", fmt.Errorf("%w: a line of more than %d bytes", errProtocol, maxLine)
		}
		if err == nil {
			return string(bytes.TrimSuffix(line, []byte("\n"))), nil
		}
		if err != bufio.ErrBufferFull {
			return "", err
		}
	}
}

func (c *conn) obey(ctx context.Context, verb string, fields []string) error {
	switch verb {
	case "AUTH":
		r, err := parseAuth(fields)
		if err != nil {
			return c.badRequest(r.id, err)
		}
		return c.begin(ctx, r)
	case "CONT":
		r, err := parseCont(fields)
		if r.id == 0 {
			return err
		}
		if err != nil {
			r.response = nil // undecodable: nil ends the exchange
		}
		c.mu.Lock()
		responses := c.waiting[r.id]
		c.mu.Unlock()
		if responses == nil {
			return c.say(fail(r.id, "reason=No such request"))
		}
		select {
		case responses <- r.response:
		default:
			return fmt.Errorf("%w: a response that nobody asked for", errProtocol)
		}
	case "CANCEL":
		if len(fields) == 0 {
			return errProtocol
		}
		id, err := parseID(fields[0])
		if err != nil {
			return err
		}
		c.mu.Lock()
		if responses := c.waiting[id]; responses != nil {
			select {
			case responses <- nil:
			default:
			}
		}
		c.mu.Unlock()
	}
	return nil // CPID, and what later versions may say
}

// badRequest answers what can be answered.
func (c *conn) badRequest(id uint32, err error) error {
	var e *status.Error
	if id == 0 || !errors.As(err, &e) {
		return err
	}
	return c.say(fail(id, "reason="+e.Public))
}

// begin starts the goroutine of a request.
func (c *conn) begin(ctx context.Context, r request) error {
	responses := make(chan []byte, 1)
	c.mu.Lock()
	_, twice := c.waiting[r.id]
	full := len(c.waiting) >= maxRequests
	if !twice && !full {
		c.waiting[r.id] = responses
	}
	c.mu.Unlock()
	switch {
	case twice:
		return fmt.Errorf("%w: request %d is under way", errProtocol, r.id)
	case full:
		return c.say(fail(r.id, "temp", "code=temp_fail", "reason=Too many logins at once"))
	}
	c.group.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		answer := c.exchange(ctx, r, responses)
		c.mu.Lock()
		delete(c.waiting, r.id)
		c.mu.Unlock()
		if c.say(answer) != nil {
			c.cutOff() // it would wait for the answer for ever
		}
	})
	return nil
}

// exchange runs a request to its end and returns the answer.
func (c *conn) exchange(ctx context.Context, r request, responses chan []byte) string {
	o := sasl.Origin{Remote: r.remote, Local: r.local, Service: r.service, Session: c.number}
	if o.Service == "" {
		o.Service = "smtp"
	}
	if r.secured {
		o.TLS = "TLS"
	} else if !c.cfg.Plaintext {
		return fail(r.id, "reason=Authentication needs TLS")
	}
	x, err := c.cfg.Auth.Start(r.mech)
	if err != nil {
		return c.refused(r.id, err)
	}
	ctx = sasl.WithOrigin(ctx, o)
	response := r.response
	for {
		challenge, done, err := x.Next(ctx, response)
		if err != nil {
			return c.refused(r.id, err)
		}
		if done {
			break
		}
		if err := c.say(fmt.Sprintf("CONT\t%d\t%s\n", r.id, sasl.Encode(challenge))); err != nil {
			return c.refused(r.id, err) // nobody will read it
		}
		select {
		case response = <-responses:
			if response == nil {
				return c.refused(r.id, sasl.ErrCancelled)
			}
		case <-ctx.Done():
			return c.refused(r.id, sasl.ErrCancelled)
		}
	}
	who := x.Identity()
	if c.cfg.LoggedIn != nil {
		if err := c.cfg.LoggedIn(o, who, x.Mechanism()); err != nil {
			return c.refused(r.id, err)
		}
	}
	ok := fmt.Sprintf("OK\t%d\tuser=%s", r.id, escape(who.Name))
	if who.Master != "" {
		ok += "\tmaster_user=" + escape(who.Master)
	}
	return ok + "\n"
}

func (c *conn) refused(id uint32, err error) string {
	e := status.Of(err)
	if e.Class == status.Temporary {
		return fail(id, "temp", "code=temp_fail", "reason="+e.Public)
	}
	if !errors.Is(err, sasl.ErrCredentials) {
		return fail(id, "reason="+e.Public)
	}
	return fail(id) // the asking server has its own words
}

func fail(id uint32, params ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "FAIL\t%d", id)
	for _, p := range params {
		b.WriteString("\t" + escape(p))
	}
	b.WriteByte('\n')
	return b.String()
}

// say writes whole lines.
func (c *conn) say(lines string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := io.WriteString(c.Conn, lines)
	return err
}
