package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	aliasing "github.com/postrider/postrider/internal/decide/aliases"
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
