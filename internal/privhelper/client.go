package privhelper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"
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
	reply, err := c.exchange(ctx, frame)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	text := string(reply.Get("text"))
	switch reply.Op {
	case replyOK, replyNo:
		return reply, nil
	case replyRefused:
		return Message{}, fmt.Errorf("%w: %s", ErrRefused, text)
	case replyMissing:
		return Message{}, fmt.Errorf("%s: %w", text, fs.ErrNotExist)
	}
	return Message{}, fmt.Errorf("%w: %s: %s", ErrUnavailable, reply.Op, text)
}

func (c *Client) exchange(ctx context.Context, frame []byte) (Message, error) {
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
	if _, err := conn.Write(frame); err != nil {
		return Message{}, err
	}
	m, err := read(conn, maxReply)
	return m, errors.Join(err, ctx.Err())
}
