package privhelper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultSocket is where the helper listens.
const DefaultSocket = "/run/postrider-helper/helper.sock"

// Errors of a Client, wrapped with what was said.
var (
	// ErrUnavailable: the helper is not there, hangs, is busy or failed. Asking again later may help.
	ErrUnavailable = errors.New("the helper does not answer")
	// ErrRefused: it does not do that.
	ErrRefused = errors.New("the helper refuses")
)

// Client asks the helper. Each request is a connection of its own. It is safe for concurrent use.
type Client struct {
	Socket  string        // "": DefaultSocket
	Timeout time.Duration // 0: a little more than the helper gives itself
}

// Ping tells whether the helper is there.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.ask(ctx, message(opPing))
	return err
}

// ReadFile returns a certificate file that the configuration names; fs.ErrNotExist when it is not there.
func (c *Client) ReadFile(ctx context.Context, path string) ([]byte, error) {
	m, err := c.ask(ctx, message(opReadFile, "path", path))
	if err != nil {
		return nil, err
	}
	return m.Get("data"), nil
}

// Verify tells whether a password is a system user's.
func (c *Client) Verify(ctx context.Context, user, password string) (bool, error) {
	m, err := c.ask(ctx, message(opVerify, "user", user, "password", password))
	return err == nil && m.Op == replyOK, err
}

// Source is who asks for something, and what stands there.
type Source struct {
	Kind      string // "alias", "forward"
	Path      string // of the alias file
	User      string // whose .forward
	Extension string
	Text      string // ":include:/path", "|command", "/file", "/folder/"
}

func (s Source) pairs() []string {
	return []string{"source", s.Kind, "path", s.Path, "user", s.User, "extension", s.Extension, "text", s.Text}
}

// Forward returns the .forward of a system user; found is false when there is none. notes name files that cannot be used.
func (c *Client) Forward(ctx context.Context, user, extension string) (text string, found bool, notes string, err error) {
	m, err := c.ask(ctx, message(opForward, "user", user, "extension", extension))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, string(m.Get("notes")), nil
	}
	return string(m.Get("data")), err == nil, string(m.Get("notes")), err
}

// Have returns those of some users who seem to have a .forward: of the others Forward would find none. It asks for no more
// than a request has room for, and returns how many it asked for.
func (c *Client) Have(ctx context.Context, users []string) (have []string, asked int, err error) {
	size := 0
	for asked < len(users) && size+len(users[asked])+1 <= maxRequest/2 {
		size += len(users[asked]) + 1
		asked++
	}
	m, err := c.ask(ctx, message(opHave, "users", strings.Join(users[:asked], "\n")))
	return strings.Fields(string(m.Get("data"))), asked, err
}

// Include returns a :include: file; ErrRefused when it cannot be used, fs.ErrNotExist when it is not there.
func (c *Client) Include(ctx context.Context, s Source) (string, error) {
	m, err := c.ask(ctx, message(opInclude, s.pairs()...))
	return string(m.Get("data")), err
}

// Undelivered is why a delivery was not made.
type Undelivered struct{ Status, Text string }

func (u *Undelivered) Error() string { return u.Status + " " + u.Text }

// Envelope is what a command learns of the message.
type Envelope struct{ Sender, Recipient, Original string }

// Deliver gives a message to a command or a file: at least once. message is a regular file of size bytes. The error is an
// *Undelivered, or one of the others.
func (c *Client) Deliver(ctx context.Context, s Source, e Envelope, file *os.File, size int64) error {
	m := message(opDeliver, append(s.pairs(), "size", strconv.FormatInt(size, 10), "sender", e.Sender, "recipient", e.Recipient, "original", e.Original)...)
	m.File = file
	return c.deliver(ctx, m)
}

func (c *Client) deliver(ctx context.Context, m Message) error {
	patient := &Client{Socket: c.Socket, Timeout: maxDelivery + time.Minute}
	reply, err := patient.ask(ctx, m)
	if err == nil && reply.Op == replyUndelivered {
		return &Undelivered{string(reply.Get("status")), string(reply.Get("text"))}
	}
	return err
}

// ask sends a request and waits for its reply.
func (c *Client) ask(ctx context.Context, m Message) (Message, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout + time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	frame, err := encode(m, maxRequest)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	reply, err := c.exchange(ctx, frame, m.File)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	text := string(reply.Get("text"))
	switch reply.Op {
	case replyOK, replyNo, replyUndelivered:
		return reply, nil
	case replyRefused:
		return Message{}, fmt.Errorf("%w: %s", ErrRefused, text)
	case replyMissing:
		return reply, fmt.Errorf("%s: %w", text, fs.ErrNotExist)
	}
	return Message{}, fmt.Errorf("%w: %s: %s", ErrUnavailable, reply.Op, text)
}

func (c *Client) exchange(ctx context.Context, frame []byte, file *os.File) (Message, error) {
	socket := c.Socket
	if socket == "" {
		socket = DefaultSocket
	}
	var d net.Dialer
	dialled, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return Message{}, err
	}
	defer dialled.Close()
	conn, ok := dialled.(*net.UnixConn)
	if !ok {
		return Message{}, fmt.Errorf("%s is not a Unix socket", socket)
	}
	// A password goes to root or to ourselves, whoever made the socket.
	if cred, err := credentials(conn); err != nil || cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return Message{}, errors.Join(fmt.Errorf("%s does not belong to root", socket), err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var oob []byte
	if file != nil {
		oob = unix.UnixRights(int(file.Fd()))
	}
	// The frame is smaller than the socket's buffer, so that it goes whole with the descriptor.
	if n, _, err := conn.WriteMsgUnix(frame, oob, nil); err != nil || n < len(frame) {
		return Message{}, errors.Join(err, fmt.Errorf("%d of %d bytes were sent", n, len(frame)))
	}
	m, err := read(conn, maxReply)
	return m, errors.Join(err, ctx.Err())
}
