package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/internal/obs"
)

// server is one run of a node, from the configuration to the last signal.
type server struct {
	app      *app
	load     func() (*config.Config, error)          // at the start, and at every reload
	drop     bool                                    // root becomes the service user
	prepare  func(context.Context, *node.Node) error // before anything is served; may be nil
	announce func(*node.Node) error                  // when all is; may be nil

	log     *serverLog
	node    *node.Node
	signals chan os.Signal
}

func (s serveCmd) Run(a *app) error {
	return (&server{app: a, drop: true, load: func() (*config.Config, error) { return a.load(s.Set) }}).run()
}

// failGrace is what sessions get when the disk has failed.
const failGrace = 5 * time.Second

// run serves until a signal or a failure. The order matters: ports need root, the log and the state must not be root's.
func (s *server) run() (err error) {
	s.signals = make(chan os.Signal, 4)
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // a reader of the log that went away must not stop mail
	c, err := s.load()
	if err != nil {
		return err
	}
	ports, err := node.Bind(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ports.Close()) }()
	dropped := true
	if s.drop {
		if dropped, err = dropPrivileges(c); err != nil {
			return err
		}
	}
	if s.log, err = openLog(c, s.app.stderr); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.log.close()) }()
	if !dropped {
		s.log.Warn("the server runs as root: there is no user " + serviceUser)
	}
	ctx := context.Background()
	if err := s.open(ctx, node.Options{Config: c, Log: s.log.Log, Version: version, Listen: ports.Listen}); err != nil {
		return s.logged("start failed", err)
	}
	if err := s.start(ctx); err != nil {
		return s.logged("start failed", errors.Join(err, s.stop(failGrace)))
	}
	return s.wait()
}

// open opens the node. The lock of an operator's command, which is brief, is waited for; that of a server is not.
func (s *server) open(ctx context.Context, o node.Options) (err error) {
	for end := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		s.node, err = node.Open(ctx, o)
		if !errors.Is(err, node.ErrLocked) || time.Now().After(end) {
			return err
		}
		client, dialErr := admin.Dial(ctx, o.Config.RunDir)
		if dialErr == nil {
			client.Close()
			return err
		}
	}
}

// start begins to serve; TERM or INT ends the attempt.
func (s *server) start(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	started := make(chan error, 1)
	go func() {
		if s.prepare != nil {
			if err := s.prepare(ctx, s.node); err != nil {
				started <- err
				return
			}
		}
		started <- s.node.Start(ctx)
	}()
	for {
		select {
		case err := <-started:
			if err != nil {
				return err
			}
			for service, addr := range s.node.Addresses() {
				s.log.Info("listening", obs.KeyService, service, "address", addr.String())
			}
			if s.announce != nil {
				return s.announce(s.node)
			}
			return nil
		case sig := <-s.signals:
			if sig != syscall.SIGHUP {
				cancel(errors.New("stopped by a signal"))
			}
		}
	}
}

// wait serves until the end.
func (s *server) wait() error {
	for {
		select {
		case err := <-s.node.Fatal():
			s.log.Error("the disk failed; nothing is acknowledged any more", obs.KeyError, err)
			return &codeError{exitIO, errors.Join(err, s.stop(failGrace))}
		case sig := <-s.signals:
			if sig == syscall.SIGHUP {
				s.reload()
				continue
			}
			s.log.Info("stopping", "signal", sig.String())
			return s.logged("stop failed", s.stop(s.node.Config().Limits.DrainTimeout.D()))
		}
	}
}

// stop drains; a further TERM or INT ends that.
func (s *server) stop(grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		for {
			select {
			case sig := <-s.signals:
				if sig != syscall.SIGHUP {
					cancel()
				}
			case <-stopped:
				return
			}
		}
	}()
	err := s.node.Stop(ctx)
	s.log.Info("stopped")
	return err
}

// reload opens the log file anew, and puts the configuration in force that the file has now, all or nothing.
func (s *server) reload() {
	if err := s.log.reopen(); err != nil {
		s.log.Error("the log file cannot be opened anew; the old one stays in use", obs.KeyError, err)
	}
	c, err := s.load()
	if err == nil {
		_, err = s.node.Reload(c)
	}
	if err == nil {
		err = s.log.SetLevel(c.Log.Level)
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			s.log.Error("reload refused; the configuration stays as it was", obs.KeyError, strings.TrimSpace(line))
		}
		return
	}
	s.log.Info("configuration reloaded")
}

// logged writes an error to the log too, when that is a file: who looks there shall find it.
func (s *server) logged(msg string, err error) error {
	if err != nil && s.log.file != nil {
		s.log.Error(msg, obs.KeyError, err)
	}
	return err
}
