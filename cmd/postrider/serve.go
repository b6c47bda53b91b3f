package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/internal/obs"
)

// server is one run of a node, from the configuration to the last signal.
type server struct {
	app      *app
	load     func() (*config.Config, error)          // at the start, and at every reload
	service  bool                                    // root becomes the service user, and the process is confined
	prepare  func(context.Context, *node.Node) error // before anything is served; may be nil
	announce func(*node.Node) error                  // when all is; may be nil

	log     *serverLog
	node    *node.Node
	notify  *notifier
	signals chan os.Signal
}

func (s serveCmd) Run(a *app) error {
	return (&server{app: a, service: true, load: func() (*config.Config, error) { return a.load(s.Set) }}).run()
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
	passed, err := activation.ListenersWithNames() // by systemd, for nobody else
	if err != nil {
		return err
	}
	ports, err := node.Bind(c, passed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ports.Close()) }()
	dropped := true
	if s.service {
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
	s.notify = newNotifier(s.log.Logger)
	var sandbox *node.Sandbox
	if s.service {
		if sandbox, err = s.confine(c); err != nil {
			return s.logged("start failed", err)
		}
	}
	ctx := context.Background()
	folder, err := s.app.folder()
	if err != nil {
		return err
	}
	o := node.Options{Config: c, Log: s.log.Log, Version: version, Listen: ports.Listen, Sandbox: sandbox, Folder: folder}
	if err := s.open(ctx, o); err != nil {
		return s.logged("start failed", err)
	}
	if err := s.start(ctx); err != nil {
		return s.logged("start failed", errors.Join(err, s.stop(failGrace)))
	}
	return s.wait()
}

// confine gives up what the server never needs to open, before it has read a byte of a stranger's. The folders that it needs
// are made first: rules stand for what exists.
func (s *server) confine(c *config.Config) (*node.Sandbox, error) {
	if c.Limits.Sandbox == "off" {
		return nil, nil
	}
	if err := errors.Join(node.MakeDir(c.DataDir), node.MakeRunDir(c.RunDir)); err != nil {
		return nil, err
	}
	file, _, err := s.app.where()
	if err != nil {
		return nil, err
	}
	if file != "" {
		if file, err = filepath.Abs(file); err != nil {
			return nil, err
		}
	}
	sandbox := node.NewSandbox(c, file)
	switch err := sandbox.Enforce(); {
	case errors.Is(err, node.ErrNoLandlock) && c.Limits.Sandbox == "auto":
		s.log.Info("the server is not confined; limits.sandbox", obs.KeyError, err)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("limits.sandbox: %w", err)
	}
	s.log.Info("confined by Landlock")
	return sandbox, nil
}

// serving is the line that the service manager shows.
func serving(n *node.Node) string {
	return "serving " + strings.Join(slices.Sorted(maps.Keys(n.Addresses())), ", ")
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
			s.notify.ready(serving(s.node))
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
	ctx, cancel := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() { s.notify.watch(ctx, s.node.Healthy) })
	unwatch := func() {
		cancel()
		watch.Wait()
	}
	defer unwatch()
	for {
		select {
		case err := <-s.node.Fatal():
			unwatch()
			s.log.Error("the disk failed; nothing is acknowledged any more", obs.KeyError, err)
			return &codeError{exitIO, errors.Join(err, s.stop(failGrace))}
		case sig := <-s.signals:
			if sig == syscall.SIGHUP {
				s.notify.reloading()
				s.reload()
				s.notify.ready(serving(s.node)) // whatever came of it: the log has that
				continue
			}
			s.log.Info("stopping", "signal", sig.String())
			s.notify.stopping()
			unwatch()
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
