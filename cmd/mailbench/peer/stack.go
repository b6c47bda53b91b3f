package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Stack is Postfix that hands to Dovecot by LMTP.
type Stack struct {
	name    string
	dir     string
	postfix postfix
	dovecot dovecot
	ready   bool
}

// StackOptions are what the variants differ in.
type StackOptions struct {
	Dir    string // an empty folder, on the disk that is to be measured; its path must be short enough for sockets
	Users  int
	Format Format
	Crowd  int  // connections that must be possible at the same time, at least; 100 are in any case
	NoFlow bool // in_flow_delay = 0: Postfix then never slows senders down for the sake of its deliveries
}

// NewStack describes a system; nothing is written before Start.
func NewStack(o StackOptions) *Stack {
	s := &Stack{name: "Postfix + Dovecot " + string(o.Format), dir: o.Dir}
	limit := max(200, o.Crowd+100)
	s.dovecot = dovecot{dir: filepath.Join(o.Dir, "dovecot"), format: o.Format, limit: limit}
	s.postfix = postfix{dir: filepath.Join(o.Dir, "postfix"), users: o.Users, lmtp: s.dovecot.lmtp(), limit: limit}
	if o.NoFlow {
		s.name += ", in_flow_delay=0"
		s.postfix.extra = append(s.postfix.extra, "in_flow_delay = 0")
	}
	return s
}

func (s *Stack) Name() string { return s.name }

// Missing names Debian's packages.
func (s *Stack) Missing() []string {
	var m []string
	for program, pkg := range map[string]string{"postfix": "postfix", "imap": "dovecot-imapd", "lmtp": "dovecot-lmtpd", "pop3": "dovecot-pop3d"} {
		path := program
		if program != "postfix" {
			path = "/usr/lib/dovecot/" + program
		}
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if _, err := find(program); err != nil || program == "lmtp" { // Postfix has an lmtp of its own
			m = append(m, pkg)
		}
	}
	return m
}

func (s *Stack) Start(ctx context.Context) error {
	if !s.ready {
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return err
		}
		if err := errors.Join(s.dovecot.setUp(), s.postfix.setUp()); err != nil {
			return err
		}
		s.ready = true
	}
	err := s.dovecot.start(ctx)
	if err == nil {
		err = s.postfix.start(ctx)
	}
	if err != nil {
		s.Stop()
	}
	return err
}

// Stop ends Postfix first, so that nothing is deferred because Dovecot has gone.
func (s *Stack) Stop() error {
	var errs []error
	for _, d := range []**daemon{&s.postfix.d, &s.dovecot.d} {
		if *d != nil {
			errs = append(errs, (*d).stop())
			*d = nil
		}
	}
	return errors.Join(errs...)
}

func (s *Stack) Roots() []int {
	var pids []int
	for _, d := range []*daemon{s.postfix.d, s.dovecot.d} {
		if d != nil {
			pids = append(pids, d.pid())
		}
	}
	return pids
}

func (s *Stack) SMTP() string { return s.postfix.addr() }

func (s *Stack) IMAP() Access { return s.dovecot.access(s.dovecot.tls) }

func (s *Stack) POP3() Access { return s.dovecot.access(s.dovecot.pop3) }

func (s *Stack) Relay() Route {
	return Route{Addr: s.postfix.addr(), Sink: fmt.Sprintf("127.0.0.1:%d", s.postfix.sink)}
}

func (s *Stack) Version() string {
	dovecot, _, _ := strings.Cut(say("dovecot", "--version"), " ")
	return "Postfix " + say("postconf", "-dh", "mail_version") + ", Dovecot " + dovecot
}

func (s *Stack) Config() string { return s.postfix.conf + "\n" + s.dovecot.conf }
