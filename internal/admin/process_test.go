package admin

import (
	"context"
	"os"
	"testing"
)

// liar tells of another's process that it is the server's.
type liar struct{ fake }

func (liar) Status(context.Context) (Status, error) { return Status{PID: 1}, nil }

func TestProcessIsTheKernelsWord(t *testing.T) {
	dir := t.TempDir()
	c := serve(t, dir, liar{})
	if s, err := c.Status(t.Context()); err != nil || s.PID != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if pid, err := Process(t.Context(), dir); err != nil || pid != os.Getpid() {
		t.Errorf("%d, %v; this is %d", pid, err, os.Getpid())
	}
}
