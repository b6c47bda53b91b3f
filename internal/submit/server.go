package submit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
)

// Handler takes submissions.
type Handler interface {
	// Submit takes one message of a user. The first read of body asks the client to send it. The id is returned when the
	// message is durable; an error becomes the client's answer through status.Of.
	Submit(ctx context.Context, uid uint32, h *Head, body io.Reader) (id string, err error)
}

// Limits of a Server; a zero field means the default named beside it.
type Limits struct {
	Connections int           // at a time, 100
	PerUser     int           // at a time from one user, root excepted, 20
	HeadTime    time.Duration // for the whole head, 30 s
	StallTime   time.Duration // until some more of a message arrives, 1 min
	MessageTime time.Duration // for a whole submission, 10 min
}

func (l Limits) complete() Limits {
	def := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	if l.Connections == 0 {
		l.Connections = 100
	}
	if l.PerUser == 0 {
		l.PerUser = 20
	}
	def(&l.HeadTime, 30*time.Second)
	def(&l.StallTime, time.Minute)
	def(&l.MessageTime, 10*time.Minute)
	return l
}

var (
	errCrowded     = status.Temp(421, 3, 2, "Too many programs submit mail at once; try again later")
	errCrowdedUser = status.Temp(450, 7, 1, "Too many of your programs submit mail at once; try again later")
	errPanic       = status.Temp(451, 3, 0, "Internal error; try again later")
)

// Server serves a Handler on a socket.
type Server struct {
	handler  Handler
	limits   Limits
	log      *slog.Logger
	listener *net.UnixListener
	path     string

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	conns map[*net.UnixConn]bool
	users map[uint32]int
}

// Serve serves handler on dir/submit.sock until Close.
func Serve(dir string, handler Handler, limits Limits, log *slog.Logger) (*Server, error) {
	l, err := Listen(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{handler: handler, limits: limits.complete(), log: log, listener: l, path: filepath.Join(dir, SocketName),
		conns: map[*net.UnixConn]bool{}, users: map[uint32]int{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.group.Go(s.accept)
	return s, nil
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors or the like: it passes
			s.log.Error("submission socket", "error", err)
			select {
			case <-s.ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		s.group.Go(func() { s.connection(conn) })
	}
}

// connection serves one client, and is its one recover.
func (s *Server) connection(conn *net.UnixConn) {
	defer conn.Close()
	uid, err := peerOf(conn)
	if err != nil {
		s.log.Error("the kernel does not say who connected to the submission socket", "error", err)
		return
	}
	if err := s.enter(conn, uid); err != nil {
		s.answer(conn, "", err)
		return
	}
	id, err := s.bounded(conn, uid)
	s.leave(conn, uid) // before the answer: a client may come again as soon as it has that
	if err == nil || !errors.Is(err, errGone) {
		s.answer(conn, id, err)
	}
}

// bounded is a submission within its time.
func (s *Server) bounded(conn *net.UnixConn, uid uint32) (string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.limits.MessageTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	return s.submission(ctx, conn, uid)
}

func (s *Server) submission(ctx context.Context, conn *net.UnixConn, uid uint32) (id string, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a submission", "uid", uid, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	if err := conn.SetReadDeadline(time.Now().Add(s.limits.HeadTime)); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	h, err := ReadHead(in)
	if errors.Is(err, ErrHead) {
		return "", status.Perm(554, 5, 0, oneLine(err.Error()))
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", errGone, err)
	}
	body := &body{server: s, conn: conn, ctx: ctx, in: in, left: h.Size}
	id, err = s.handler.Submit(ctx, uid, h, body)
	if body.err != nil { // whatever became of it: nobody is there to hear it, or it is not whole
		return "", fmt.Errorf("%w: %w", errGone, body.err)
	}
	return id, err
}

// errGone says that the client is.
var errGone = errors.New("the client went away, or was silent for too long")

// answer writes the final line. The connection may close with input unread: on a local socket that takes nothing away
// from what was written.
func (s *Server) answer(conn *net.UnixConn, id string, err error) {
	_ = conn.SetWriteDeadline(time.Now().Add(s.limits.StallTime))
	_, _ = io.WriteString(conn, reply(id, err)+"\n")
}

// enter counts a connection in, unless there are too many.
func (s *Server) enter(conn *net.UnixConn, uid uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ctx.Err() != nil:
		return status.ErrShutdown
	case uid != 0 && s.users[uid] >= s.limits.PerUser:
		return errCrowdedUser
	case len(s.conns) >= s.limits.Connections:
		return errCrowded
	}
	s.conns[conn] = true
	s.users[uid]++
	return nil
}

func (s *Server) leave(conn *net.UnixConn, uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	if s.users[uid]--; s.users[uid] == 0 {
		delete(s.users, uid)
	}
}

// Close removes the socket, lets submissions under way end until ctx does, and returns when all have.
func (s *Server) Close(ctx context.Context) error {
	err := os.Remove(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, s.listener.Close())
	done := make(chan struct{})
	go func() {
		s.group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.SetDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	<-done
	return err
}

// body asks for the message at the first read and gives its bytes.
type body struct {
	server *Server
	conn   *net.UnixConn
	ctx    context.Context
	in     *bufio.Reader
	asked  bool
	left   int64
	err    error // of the connection
}

func (b *body) Read(p []byte) (int, error) {
	if !b.asked {
		b.asked = true
		_ = b.conn.SetWriteDeadline(time.Now().Add(b.server.limits.StallTime))
		if _, err := io.WriteString(b.conn, goAhead+"\n"); err != nil {
			b.err = err
		}
	}
	if b.err != nil {
		return 0, b.err
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	if b.err = b.conn.SetReadDeadline(time.Now().Add(b.server.limits.StallTime)); b.err == nil && b.ctx.Err() != nil {
		b.err = b.ctx.Err() // after the deadline is set, so that the end of ctx is never overwritten unseen
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.err = err
	return n, err
}
