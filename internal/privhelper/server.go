package privhelper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of a Server.
const (
	// DefaultTimeout is what a request may take, from the connection to the reply.
	DefaultTimeout = 10 * time.Second
	maxConnections = 160
	// Each check of a password costs 16 MiB and tens of milliseconds for a moment.
	maxChecks = 2
	// Deliveries may take long, and must leave room for the others.
	maxDeliveries = 60
	// Files of users may hang (a folder of FUSE's), and must leave room for the others, too.
	maxReads = 40
	// maxDelivery is more than routing.command_time_limit may be.
	maxDelivery = 65 * time.Minute
)

// lanes bound the requests of some kinds.
type lanes struct{ checks, deliveries, reads chan struct{} }

// Server accepts requests and has each answered by Run.
type Server struct {
	Peers   []uint32 // user ids that are answered, beside root
	Run     func(context.Context, Message) (Message, error)
	Timeout time.Duration // 0: DefaultTimeout
	Log     *slog.Logger
}

// Serve answers until ctx ends, and returns when the last request has.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	slots := make(chan struct{}, maxConnections)
	lanes := lanes{make(chan struct{}, maxChecks), make(chan struct{}, maxDeliveries), make(chan struct{}, maxReads)}
	for {
		conn, err := l.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ECONNABORTED) {
			s.Log.Error("accept", "err", err)
			select { // the others end in time
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		select {
		case slots <- struct{}{}:
		default:
			s.refuseBusy(conn)
			continue
		}
		group.Go(func() {
			defer func() { <-slots }()
			defer conn.Close()
			s.serve(ctx, conn, lanes)
		})
	}
}

// refuseBusy answers without waiting for anything: a reply that does not fit into the socket's buffer is not sent.
func (s *Server) refuseBusy(conn *net.UnixConn) {
	defer conn.Close()
	if s.peer(conn) == nil {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Millisecond))
		s.reply(conn, message(replyBusy, "text", "too many requests at once"))
	}
}

// serve answers one connection's request. Who may not ask learns nothing, the reason neither.
func (s *Server) serve(whole context.Context, conn *net.UnixConn, lanes lanes) {
	ctx, cancel := context.WithTimeout(whole, s.Timeout)
	defer cancel()
	end, _ := ctx.Deadline()
	if err := errors.Join(s.peer(conn), conn.SetDeadline(end)); err != nil {
		s.Log.Warn("peer refused", "err", err)
		return
	}
	m, err := receive(conn, maxRequest)
	if err != nil {
		s.Log.Warn("request refused", "err", err)
		return
	}
	if m.File != nil {
		defer m.File.Close()
	}
	if m.Op == opDeliver {
		select {
		case lanes.deliveries <- struct{}{}:
			defer func() { <-lanes.deliveries }()
			s.serveDelivery(whole, conn, m)
		case <-ctx.Done():
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			s.reply(conn, message(replyBusy, "text", "too many deliveries at once"))
		}
		return
	}
	if m.Op == opForward || m.Op == opHave || m.Op == opInclude {
		select {
		case lanes.reads <- struct{}{}:
			defer func() { <-lanes.reads }()
		default: // who waits takes room, too
			s.reply(conn, message(replyBusy, "text", "too many files are being read"))
			return
		}
	}
	if m.Op == opVerify {
		select {
		case lanes.checks <- struct{}{}:
			defer func() { <-lanes.checks }()
		case <-ctx.Done():
			s.reply(conn, message(replyBusy, "text", "too many passwords are being checked"))
			return
		}
	}
	began := time.Now()
	answer, err := s.Run(ctx, m)
	if err != nil {
		s.Log.Error("request failed", "op", m.Op, "err", err)
		answer = failed(errors.New("the helper could not do it; its log has the reason"))
	}
	s.Log.Debug("request", "op", m.Op, "reply", answer.Op, "text", string(answer.Get("text")), "took", time.Since(began))
	s.reply(conn, answer)
}

// serveDelivery has a message delivered, for as long as a command may take. Who asked may go away meanwhile: it goes on. At the
// end of the helper it gets a moment more, so that no file is left with half a message.
func (s *Server) serveDelivery(whole context.Context, conn *net.UnixConn, m Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(whole), maxDelivery)
	defer cancel()
	stop := context.AfterFunc(whole, func() { time.AfterFunc(s.Timeout, cancel) })
	defer stop()
	began := time.Now()
	answer, err := s.Run(ctx, m)
	if err != nil {
		s.Log.Error("delivery failed", "text", string(m.Get("text")), "err", err)
		answer = failed(errors.New("the helper could not do it; its log has the reason"))
	}
	s.Log.Info("delivery", "source", string(m.Get("source")), "path", string(m.Get("path")), "user", string(m.Get("user")), "to", string(m.Get("text")),
		"reply", answer.Op, "status", string(answer.Get("status")), "text", string(answer.Get("text")), "took", time.Since(began))
	if err := conn.SetDeadline(time.Now().Add(s.Timeout)); err != nil {
		s.Log.Warn("reply not sent", "err", err)
		return
	}
	s.reply(conn, answer)
}

func (s *Server) reply(conn *net.UnixConn, m Message) {
	frame, err := encode(m, maxReply)
	if err == nil {
		_, err = conn.Write(frame)
	}
	if err != nil {
		s.Log.Warn("reply not sent", "reply", m.Op, "err", err)
	}
}

// peer checks who connected, by the kernel's word.
func (s *Server) peer(conn *net.UnixConn) error {
	cred, err := credentials(conn)
	if err != nil {
		return err
	}
	if cred.Uid == 0 || slices.Contains(s.Peers, cred.Uid) {
		return nil
	}
	return fmt.Errorf("the user %d (process %d) may not ask", cred.Uid, cred.Pid)
}

// credentials are those that the other end of a connection had when it connected or listened (SO_PEERCRED).
func credentials(conn *net.UnixConn) (cred *unix.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	controlErr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return cred, errors.Join(controlErr, err)
}

// Listen makes the helper's socket at path, for the peer alone (root passes everywhere). A socket that nobody listens on
// any more is replaced.
func Listen(path string, peer int) (*net.UnixListener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("%s: another helper listens there", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	err = os.Chmod(path, 0o600)
	if err == nil && peer != os.Geteuid() {
		err = os.Lchown(path, peer, -1)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
