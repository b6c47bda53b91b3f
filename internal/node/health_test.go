package node

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
)

// TestHealthWithPostgreSQLAway: the watchdog must not end a server again and again because another one is away.
func TestHealthWithPostgreSQLAway(t *testing.T) {
	away := errors.New("connection refused")
	if err := silent("postgres", away, away); err != nil {
		t.Error(err)
	}
	if err := silent("sqlite", nil, away); err == nil {
		t.Error("a database of our own that does not answer is healthy")
	}
	if err := silent("sqlite", status.ErrNoSpace, nil); err != nil {
		t.Error(err)
	}
}

func TestHealthy(t *testing.T) {
	n, stop := start(t, testConfig(t, t.TempDir()))
	if err := n.Healthy(t.Context()); err != nil {
		t.Errorf("started: %v", err)
	}
	// A writer that hangs: the question has an end, and the answer is no, if the database is this process's.
	release, held := make(chan struct{}), make(chan struct{})
	go func() {
		_ = n.db.Write(context.Background(), func(*db.Tx) error { close(held); <-release; return errors.New("nothing is to be written") })
	}()
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	ours := n.Config().Database.Engine == "sqlite"
	if err := n.Healthy(ctx); ours && (err == nil || !strings.Contains(err.Error(), "the database does not answer")) {
		t.Errorf("with a writer that hangs: %v", err)
	}
	close(release)
	if err := n.Healthy(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	// A listener that is gone.
	for _, l := range n.services.listeners {
		if l.service == "imap" {
			l.Close()
		}
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := n.Healthy(ctx)
	for err == nil {
		err = n.Healthy(ctx)
	}
	if !strings.Contains(err.Error(), "the listener for imap has ended") {
		t.Errorf("without its listener: %v", err)
	}
	stop()
	if err := n.Healthy(t.Context()); err == nil {
		t.Error("a stopped node is healthy")
	}
}

// asked is a context that tells when somebody first waits for its end.
type asked struct {
	context.Context
	once  sync.Once
	first chan struct{}
}

func (a *asked) Done() <-chan struct{} {
	a.once.Do(func() { close(a.first) })
	return a.Context.Done()
}

// A write of others that found the disk full took the question with it, as they were one transaction: the watchdog would
// have started the server again and again, and that makes no room.
func TestFullDiskIsHealthy(t *testing.T) {
	n, stop := start(t, testConfig(t, t.TempDir()))
	defer stop()
	release, held := make(chan struct{}), make(chan struct{})
	hold := func(*db.Tx) error { close(held); <-release; return nil }
	var full error
	if err := n.db.Submit(t.Context(), hold, nil); err != nil {
		t.Fatal(err)
	}
	<-held
	ctx := &asked{Context: t.Context(), first: make(chan struct{})}
	healthy := make(chan error)
	go func() { healthy <- n.Healthy(ctx) }()
	<-ctx.first
	reported := make(chan struct{})
	if err := n.db.Submit(t.Context(), dbtest.NoSpace, func(err error) { full = err; close(reported) }); err != nil {
		t.Fatal(err)
	}
	close(release)
	if <-reported; status.Of(full).Enhanced != status.ErrNoSpace.Enhanced {
		t.Fatalf("the write: %v", full)
	}
	if err := <-healthy; err != nil {
		t.Error(err)
	}
}

// The helper's absence is said at the start, and keeps nothing from working.
func TestWithoutHelper(t *testing.T) {
	var log bytes.Buffer
	n, stop := startLogging(t, testConfig(t, t.TempDir(), "helper.enabled = true", `auth.system = "shadow"`,
		"helper.socket = \""+filepath.Join(t.TempDir(), "helper.sock")+"\""), &log)
	if err := n.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
	if !strings.Contains(log.String(), "start postrider-helper.socket") {
		t.Errorf("log: %s", log.String())
	}
}
