package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	aliasing "github.com/postrider/postrider/internal/decide/aliases"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/obs"
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
