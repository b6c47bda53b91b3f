package system

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// bins are the builds of the server, each made once.
var bins struct {
	mu  sync.Mutex
	dir string
	by  map[string]string // tag to file
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "postrider-crash-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bins.dir, bins.by = dir, map[string]string{}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build returns the server built with a tag ("": none).
func build(t *testing.T, tag string) string {
	t.Helper()
	bins.mu.Lock()
	defer bins.mu.Unlock()
	if bins.by[tag] == "" {
		bin := filepath.Join(bins.dir, "server-"+tag)
		if err := Build(t.Context(), bin, tag); err != nil {
			t.Fatal(err)
		}
		bins.by[tag] = bin
	}
	return bins.by[tag]
}
