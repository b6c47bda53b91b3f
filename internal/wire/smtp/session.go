package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// session is one connection to a Server. One goroutine runs it; Server.Shutdown touches what mu guards.
type session struct {
	srv  *Server
	cfg  *Config
	ctx  context.Context
	back Session // nil until Connect, and after a refused one
	peer Peer
	in   input
	out  []byte // replies not yet sent

	mu      sync.Mutex
	conn    net.Conn
	waiting bool   // at rest between commands, without a transaction
	pausing bool   // before the greeting
	freed   bool   // from that pause
	kicked  string // why an operator ends it; empty: none does
	seen    Activity
	cancel  context.CancelFunc // set before it begins
	shaking context.CancelFunc // ends the handshake that is under way; nil: none is

	env     *envelope.Envelope // the open transaction, nil between
	refused bool               // the open transaction has refused a recipient
	expires time.Time          // when the open transaction must have ended
	body    *body              // of the message that comes in
	began   time.Time          // the message that comes in
	pending *string            // a command read inside BDAT that is still to be obeyed

	stats        Stats
	authFailures int
	junk         int
	end          End // set: the session ends as soon as the replies are out
}

var errTimedOut = errors.New("timeout")
var errDraining = errors.New("shutdown")
var errWasKicked = errors.New("kicked")

// run is a session's life.
func (s *session) run(mode TLSMode) {
	s.cfg.Register.Connected(&s.peer, s.kick)
	defer s.cfg.Register.Ended(&s.peer)
	s.guard(func() {
		s.event(EventConnect)
		if mode == TLSImplicit && !s.handshake() {
			return
		}
		if err := s.greet(); err != nil {
			s.lost(err)
			return
		}
		for s.end == "" {
			line, err := s.command()
			if err != nil {
				s.lost(err)
				break
			}
			s.dispatch(line)
		}
	})
	_ = s.flush() // the connection ends anyway
	s.linger()
	s.guard(s.finish)
	s.event(EventClose)
	s.in.drop()
	s.kill()
}

// guard is the one recover of a connection.
func (s *session) guard(run func()) {
	defer func() {
		if p := recover(); p != nil {
			s.cfg.Log.Error("smtp: panic", "session", s.peer.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			s.event(EventPanic)
			s.hangUp(errPanic, EndPanic)
		}
	}()
	run()
}

// linger lets a client that is still talking read why we hang up: closing with input unread would reset the connection
// and throw our last reply away.
func (s *session) linger() {
	half, ok := s.conn.(interface{ CloseWrite() error })
	if !ok || s.end == EndQuit || s.end == EndLost || s.end == EndTLS || half.CloseWrite() != nil {
		return
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, s.conn, maxSkip)
}

// finish is the last that the backend hears.
func (s *session) finish() {
	if s.back == nil {
		return
	}
	s.stats.Duration = time.Since(s.peer.Connected)
	s.stats.Reason = s.end
	defer s.back.Close(s.stats)
	s.reset()
}

// greet waits if it must, asks the backend, and says the greeting.
func (s *session) greet() error {
	if err := s.listenEarly(); err != nil {
		return err
	}
	if s.peer.Early {
		s.event(EventEarly)
		s.cfg.Log.Info("smtp: input before the greeting", "session", s.peer.ID, "client", s.peer.Remote.String(), "octets", len(s.in.window()))
	}
	s.welcome()
	return nil
}

// welcome asks the backend, and says the greeting.
func (s *session) welcome() {
	back, err := s.cfg.Backend.Connect(s.ctx, &s.peer)
	if err != nil {
		e := s.fail(err)
		if e.Class == status.Temporary {
			s.end = EndRefused
		}
		return
	}
	s.back = back
	s.out = append(s.out, "220 "+s.cfg.Hostname+" "+s.cfg.Banner+"\r\n"...) // no enhanced code here, RFC 2034 §3
}

// listenEarly finds out whether the client talks before it is greeted (RFC 5321 §3.1 has it wait).
func (s *session) listenEarly() error {
	var pause time.Duration
	var over func([]byte, error)
	if s.cfg.GreetPause != nil {
		pause, over = s.cfg.GreetPause(&s.peer, s.release)
	}
	if pause <= 0 {
		s.peer.Early = pendingInput(s.conn)
		return nil
	}
	s.mu.Lock()
	s.pausing = true
	until := time.Now().Add(pause)
	if s.freed || s.srv.draining.Load() {
		until = time.Unix(1, 0)
	}
	_ = s.conn.SetReadDeadline(until)
	s.mu.Unlock()
	err := s.in.fill(s.conn)
	s.mu.Lock()
	s.pausing = false
	s.mu.Unlock()
	s.peer.Early = err == nil
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	if over != nil {
		over(s.in.window(), err)
	}
	return err
}

// release ends the pause before the greeting.
func (s *session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freed = true
	if s.pausing {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// command returns the next command line. Lines that break the rules are answered here.
func (s *session) command() (string, error) {
	if s.pending != nil {
		line := *s.pending
		s.pending = nil
		return line, nil
	}
	for {
		line, err := s.line(maxCommand)
		var bad *status.Error
		if !errors.As(err, &bad) {
			return line, err
		}
		if s.fault(bad); s.end != "" {
			return "", err
		}
	}
}

// line reads one line. A *status.Error tells what is wrong with it; any other error is the connection's.
func (s *session) line(max int) (string, error) {
	deadline := time.Now().Add(s.cfg.Timeouts.Command)
	for {
		line, err := s.in.line(max, s.lax())
		if err != nil {
			if err == error(errLineBare) {
				s.stats.BareLines++
				s.event(EventBareLine)
			}
			return "", err
		}
		if line != nil {
			return string(line), nil
		}
		if len(s.in.window()) >= smallInput {
			s.in.grow()
		} else if s.env == nil {
			s.in.shrink()
		}
		if err := s.fill(deadline, s.env == nil); err != nil {
			return "", err
		}
	}
}

func (s *session) lax() bool {
	return s.cfg.LaxNewlines != nil && s.cfg.LaxNewlines(s.peer.Remote.Addr())
}

// fill sends what there is to say, then waits for the client: the only place where a session waits for input. So replies
// to commands that came together leave together (RFC 2920 §3.2). atRest allows a shutdown to end the wait.
func (s *session) fill(deadline time.Time, atRest bool) error {
	if err := s.flush(); err != nil {
		return err
	}
	if !s.expires.IsZero() && s.expires.Before(deadline) {
		deadline = s.expires
	}
	if s.body != nil { // also between two chunks
		if least := s.began.Add(slowStart + time.Duration(s.body.size/slowest)*time.Second); least.Before(deadline) {
			deadline = least
		}
	}
	s.mu.Lock()
	if err := s.called(atRest); err != nil {
		s.mu.Unlock()
		return err
	}
	s.show()
	s.waiting = atRest
	err := s.conn.SetReadDeadline(deadline)
	s.mu.Unlock()
	if err == nil {
		err = s.in.fill(s.conn)
	}
	s.mu.Lock()
	s.waiting = false
	called := s.called(atRest)
	s.mu.Unlock()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if called != nil {
			return called
		}
		return errTimedOut
	}
	if err == io.EOF { // the connection's end must never be taken for the message's
		return io.ErrUnexpectedEOF
	}
	return err
}

// fillBlock is fill in the midst of a message.
func (s *session) fillBlock() error {
	return s.fill(time.Now().Add(s.cfg.Timeouts.Block), false)
}

func (s *session) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.cfg.Timeouts.Write)); err != nil {
		return err
	}
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	if cap(s.out) > smallInput {
		s.out = nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errTimedOut
	}
	return err
}

// ahead tells whether there is input that should not be there yet. Under TLS only what came with the last record is seen.
func (s *session) ahead() bool {
	if s.peer.Extended && s.stats.Last != "DATA" && s.stats.Last != "EHLO" { // RFC 2920 §3.1: EHLO is the last of its group too
		return false
	}
	return len(s.in.window()) > 0 || pendingInput(s.conn)
}

// lost ends the session for a reason of the connection's.
func (s *session) lost(err error) {
	switch {
	case s.end != "": // said already
	case errors.Is(err, errTimedOut):
		s.event(EventTimeout)
		s.fail(errTimeout)
		s.end = EndTimeout
	case errors.Is(err, errDraining):
		s.fail(errShutdown)
		s.end = EndShutdown
	case errors.Is(err, errWasKicked):
		s.fail(s.errKicked())
		s.end = EndKicked
	case errors.Is(err, errSkipped):
		s.fail(errRepeated)
		s.end = EndLimit
	case s.wasKicked(): // and took too long to notice
		s.end = EndKicked
	default:
		s.end = EndLost
	}
}

// reply queues a reply; text may have several lines.
func (s *session) reply(code int, enhanced, text string) {
	for {
		line, rest, more := strings.Cut(text, "\n")
		sep := byte(' ')
		if more {
			sep = '-'
		}
		s.out = append(s.out, byte('0'+code/100), byte('0'+code/10%10), byte('0'+code%10), sep)
		if enhanced != "" {
			s.out = append(append(s.out, enhanced...), ' ')
		}
		s.out = append(append(s.out, line...), '\r', '\n')
		if !more {
			return
		}
		text = rest
	}
}

func (s *session) ok(enhanced, text string) { s.reply(250, enhanced, text) }

// fail queues the reply of an error and logs what the client may not read.
func (s *session) fail(err error) *status.Error {
	e := status.Of(err)
	s.reply(e.Code, e.Enhanced.String(), e.Public)
	if e.Err != nil {
		s.cfg.Log.LogAttrs(s.ctx, slog.LevelInfo, "smtp: refused", slog.Uint64("session", s.peer.ID), slog.Int("code", e.Code), slog.Any("error", err))
	}
	if (e.Code == 421 || e.Code == 521) && s.end == "" { // RFC 7504 §3: after 521 nothing but the end follows
		s.end = EndRefused
	}
	return e
}

// fault answers a command that breaks the protocol's rules; too many end the session.
func (s *session) fault(err error) {
	s.stats.Errors++
	s.event(EventError)
	if s.stats.Errors >= s.cfg.Limits.Errors {
		s.hangUp(errRepeated, EndLimit)
		return
	}
	s.fail(err)
}

// refuse answers a command that the backend, or a limit, refuses.
func (s *session) refuse(err error, e Event) {
	s.stats.Refusals++
	s.event(e)
	if s.stats.Refusals >= s.cfg.Limits.Refusals {
		s.hangUp(errRepeated, EndLimit)
		return
	}
	s.fail(err)
}

func (s *session) hangUp(err error, why End) {
	s.end = why
	s.fail(err)
}

// wasted counts what brings no message.
func (s *session) wasted() {
	if s.junk++; s.junk > s.cfg.Limits.Junk {
		s.hangUp(errRepeated, EndLimit)
	}
}

func (s *session) event(e Event) { s.cfg.Observer.Event(e, &s.peer) }

// handshake puts TLS on the connection. Nothing said before counts any more (RFC 3207 §4.2).
func (s *session) handshake() bool {
	_ = s.conn.SetDeadline(time.Time{}) // ctx bounds it
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.mu.Lock()
	if s.shaking = cancel; s.called(true) != nil {
		cancel()
	}
	s.mu.Unlock()
	up, err := s.cfg.Shared.Handshake(ctx, s.conn, s.cfg.TLS, s.cfg.Timeouts.Handshake)
	s.mu.Lock()
	s.shaking = nil
	s.mu.Unlock()
	if err != nil {
		s.event(EventTLSFailed)
		s.cfg.Log.Info("smtp: TLS handshake failed", "session", s.peer.ID, "client", s.peer.Remote.String(), "error", err)
		s.end = EndTLS
		return false
	}
	state := up.ConnectionState()
	s.mu.Lock()
	s.conn = up
	s.mu.Unlock()
	s.peer.TLS = &state
	s.event(EventTLS)
	return true
}

// reset ends the open transaction without a message.
func (s *session) reset() {
	if s.env == nil {
		return
	}
	s.endTransaction()
	s.back.Reset(s.ctx)
}

func (s *session) endTransaction() {
	s.env, s.refused, s.expires = nil, false, time.Time{}
	s.peer.Forwarded = nil
}

func (s *session) origin() sasl.Origin {
	service := "smtp"
	if s.cfg.LMTP {
		service = "lmtp"
	}
	return sasl.Origin{Remote: s.peer.Remote, Local: s.peer.Local, Service: service, Session: s.peer.ID, TLS: s.peer.TLSText(), Failures: s.authFailures,
		Certificate: sasl.CertificateName(s.peer.TLS)}
}
