package submit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// ErrNoServer says that nobody took the message: no server runs, or it went away before it answered.
var ErrNoServer = errors.New("no server")

// Patience of a client.
const (
	dialTimeout  = 10 * time.Second
	stallTimeout = 2 * time.Minute // without any progress
)

// Send hands a message to the server whose run_dir is dir, and returns its queue id: then the message is durable. The
// error is ErrNoServer (wrapped) when nobody answered, *Later, or the *status.Error of a refusal. body gives h.Size bytes.
func Send(ctx context.Context, dir string, h *Head, body io.Reader) (id string, err error) {
	if err := h.Check(); err != nil {
		return "", err
	}
	var conn net.Conn
	err = withPath(dir, func(path string) (err error) {
		conn, err = (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoServer, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	return talk(&patient{conn, stallTimeout}, h, body)
}

// talk is the dialogue of one submission.
func talk(conn io.ReadWriter, h *Head, body io.Reader) (string, error) {
	in := bufio.NewReader(conn)
	// A refusal may come before all is sent: what is written then is lost, what is read is the answer.
	_, sent := conn.Write(h.Append(nil))
	line, err := readLine(in)
	if err == nil && line == goAhead && sent == nil {
		source := &source{r: io.LimitReader(body, h.Size)}
		n, copied := io.Copy(conn, source)
		if source.err != nil {
			return "", fmt.Errorf("read the message: %w", source.err)
		}
		if copied == nil && n != h.Size {
			return "", fmt.Errorf("read the message: %w", io.ErrUnexpectedEOF)
		}
		line, err = readLine(in)
	}
	if err != nil { // not wrapped: ErrHead of an answer cut off says nothing about our head
		return "", fmt.Errorf("%w: %v", ErrNoServer, err)
	}
	return parseReply(line)
}

// source remembers the failure of what is sent, apart from that of the connection.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// patient gives each read and write a time of its own.
type patient struct {
	net.Conn
	timeout time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(p.timeout)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}
