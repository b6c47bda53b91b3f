package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/internal/obs"
)

const (
	lockPatience = 5 * time.Second        // how long another process that starts, stops or is brief is waited for
	lockPause    = 100 * time.Millisecond // between looks
	closeGrace   = 30 * time.Second
)

// operate runs fn on the operator's API: of the running server, or of the data directory, which it opens.
func (a *app) operate(fn func(ctx context.Context, api admin.API) error) error {
	return a.open(fn, false, nil)
}

// operateQueue is operate for what needs the queue.
func (a *app) operateQueue(fn func(ctx context.Context, api admin.API) error) error {
	return a.open(fn, true, nil)
}

// operateQueueAlone is operateQueue that calls alone before it opens the data directory.
func (a *app) operateQueueAlone(alone func(), fn func(ctx context.Context, api admin.API) error) error {
	return a.open(fn, true, alone)
}

func (a *app) open(fn func(context.Context, admin.API) error, queue bool, alone func()) error {
	ctx := context.Background()
	c, err := a.load(nil)
	if err != nil {
		return err
	}
	for end := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		client, err := admin.Dial(ctx, c.RunDir)
		if err == nil {
			defer client.Close()
			return fn(ctx, client)
		}
		if !errors.Is(err, admin.ErrNoServer) {
			return err
		}
		err = a.openDir(ctx, c, func(ctx context.Context, api admin.API) error {
			if alone != nil {
				alone()
			}
			return fn(ctx, api)
		}, queue)
		if !errors.Is(err, node.ErrLocked) || time.Now().After(end) {
			return err
		}
	}
}

// openDir runs fn on the API of a data directory that no server has.
func (a *app) openDir(ctx context.Context, c *config.Config, fn func(context.Context, admin.API) error, queue bool) (err error) {
	info, err := os.Stat(c.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return withCode(exitNoInput, "there is no data directory %s%s", c.DataDir, a.hint())
	}
	if err != nil {
		return err
	}
	if err := becomeOwner(info); err != nil {
		return err
	}
	log, err := obs.New(obs.Options{Out: a.stderr, Format: "text", Level: "warn"})
	if err != nil {
		return err
	}
	folder, err := a.folder() // tables have relative paths
	if err != nil {
		return err
	}
	n, err := node.Open(ctx, node.Options{Config: c, Log: log, Version: version, Folder: folder})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(ctx, closeGrace)
		defer cancel()
		err = errors.Join(err, n.Stop(ctx))
	}()
	if queue {
		if err := n.Load(ctx); err != nil {
			return err
		}
	}
	return fn(ctx, n.API())
}

// hint tells somebody who has just tried quickstart what to add.
func (a *app) hint() string {
	if _, err := os.Stat(quickstartDir); err == nil && a.flags.Dir == "" && a.flags.Config == "" {
		return fmt.Sprintf("; for the one here, add --dir %s", quickstartDir)
	}
	return "; `postrider serve` makes it, or `postrider quickstart --dir DIR`"
}

func (statusCmd) Run(a *app) error {
	c, err := a.load(nil)
	if err != nil {
		return err
	}
	ctx := context.Background()
	client, err := admin.Dial(ctx, c.RunDir)
	if errors.Is(err, admin.ErrNoServer) {
		stopped := admin.Status{Hostname: c.Hostname, Dir: c.DataDir, Listeners: map[string]string{}}
		err = a.show(stopped, func(w io.Writer) { a.facts(w, "server", "does not run", "data", c.DataDir) })
		return errors.Join(err, &codeError{code: exitUnavailable})
	}
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	return a.show(s, func(w io.Writer) {
		a.facts(w, "server", fmt.Sprintf("runs, process %d, version %s", s.PID, s.Version), "host name", s.Hostname, "data", s.Dir)
		t := newTable("SERVICE", "ADDRESS")
		for _, service := range services() {
			if addr := s.Listeners[service]; addr != "" {
				t.row(service, addr)
			}
		}
		fmt.Fprintln(w)
		t.write(a, w, "It listens nowhere.")
		fmt.Fprintln(w)
		a.certificates(w, s.Certificates)
	})
}

// certificates lists what TLS clients are shown.
func (a *app) certificates(w io.Writer, list []admin.Certificate) {
	t := newTable("CERTIFICATE", "EXPIRES", "FROM", "PROBLEM")
	for _, c := range list {
		expires := "-"
		if !c.Expires.IsZero() {
			expires = c.Expires.UTC().Format(time.DateTime)
		}
		t.row(strings.Join(c.Names, " "), expires, c.From, c.Problem)
	}
	t.write(a, w, "There are no certificates.")
}
