package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	aliasing "github.com/postrider/postrider/internal/decide/aliases"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/privhelper"
	"github.com/postrider/postrider/internal/state/directory"
)

func TestForwardsAreRememberedForAMoment(t *testing.T) {
	now := time.Unix(1000, 0)
	f := &forwards{now: func() time.Time { return now }}
	key := [2]string{"al", ""}
	f.put(key, forward{text: "x", found: true})
	if one, ok := f.get(key); !ok || one.text != "x" {
		t.Errorf("%+v, %v", one, ok)
	}
	now = now.Add(forwardLife)
	if one, ok := f.get(key); ok {
		t.Errorf("too old: %+v", one)
	}
	for i := range 3 * maxForwards {
		f.put([2]string{fmt.Sprint(i), ""}, forward{})
	}
	if len(f.read) > maxForwards {
		t.Errorf("%d are remembered", len(f.read))
	}
}

func TestReadPublic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	for mode, want := range map[os.FileMode]string{0o644: "<nil>", 0o600: os.ErrPermission.Error(), 0o646: path + " " + aliasing.ErrUnusable.Error() + ": everybody may write to it: chmod o-w " + path} {
		if err := os.WriteFile(path, []byte("al\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := readPublic(path); fmt.Sprint(err) != want {
			t.Errorf("%o: %v, want %s", mode, err, want)
		}
	}
	link := path + "-link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if text, err := readPublic(link); err == nil {
		t.Errorf("through a link: %q", text)
	}
}

func TestCommandsShareTheirUsersLine(t *testing.T) {
	n := &Node{}
	for _, c := range []struct {
		l    aliasing.Local
		want string
	}{
		{aliasing.Local{Source: aliasing.FromForward, User: "al", Extension: "x", Text: "|/bin/a"}, "al"},
		{aliasing.Local{Source: aliasing.FromForward, User: "al", Extension: "y", Text: "/box"}, "al"},
		{aliasing.Local{Source: aliasing.FromAlias, Path: "/etc/aliases", Extension: "y", Text: "|/bin/a"}, "|/bin/a"},
	} {
		if got := n.routeOf(&flow.Recipient{Transport: flow.Pipe, NextHop: c.l.String()}); got != c.want {
			t.Errorf("%+v: %q", c.l, got)
		}
	}
}

// A list that is missing for a moment bounces nobody's mail.
func TestIncludeThatIsMissing(t *testing.T) {
	f := localFiles{node: &Node{log: &obs.Log{Logger: slog.New(slog.DiscardHandler)}}, config: &config.Config{}}
	l := aliasing.Local{Source: aliasing.FromAlias, Path: "/etc/aliases", Text: ":include:" + filepath.Join(t.TempDir(), "list")}
	if _, err := f.Include(t.Context(), l); err == nil || errors.Is(err, aliasing.ErrUnusable) {
		t.Errorf("%v", err)
	}
}

// A list of many users who have no .forward costs one request to the helper, and none again for a moment.
func TestListOfUsersAsksOnce(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	var list strings.Builder
	for i := range 50 {
		name := fmt.Sprint("user", i)
		fmt.Fprintln(&list, name)
		if _, err := n.directory.AddAccount(t.Context(), directory.NewAccount{Address: mustAddress(t, name+"@here.example"), System: name}); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := privhelper.Listen(socket, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]int{}
	var mu sync.Mutex
	helper := &privhelper.Server{Peers: []uint32{uint32(os.Geteuid())}, Log: n.log.Logger, Run: func(_ context.Context, m privhelper.Message) (privhelper.Message, error) {
		mu.Lock()
		defer mu.Unlock()
		asked[m.Op]++
		return privhelper.Message{Op: "ok", Fields: []privhelper.Field{{Name: "data", Value: []byte("user7")}}}, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- helper.Serve(ctx, l) }()
	c := &config.Config{}
	c.Helper.Enabled, c.Helper.Socket = true, socket
	aliases, _, err := table.Aliases("all: " + strings.Join(strings.Fields(list.String()), ", "))
	if err != nil {
		t.Fatal(err)
	}
	e := &aliasing.Expander{Maps: []aliasing.Map{{Table: aliases}}, Origin: "here.example", IsLocal: func(context.Context, string) (bool, error) { return true, nil },
		Files: localFiles{n, c, &forwards{now: n.opt.Now}}, Forward: true}
	for range 2 {
		if targets, _, err := e.Expand(t.Context(), mustAddress(t, "all@here.example")); err != nil || len(targets) != 50 {
			t.Errorf("%d targets, %v", len(targets), err)
		}
	}
	cancel()
	if err := <-served; err != nil || fmt.Sprint(asked) != "map[forward:1 have:1]" {
		t.Errorf("%v, %v", asked, err)
	}
}
