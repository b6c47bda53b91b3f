package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// binaryEnv names the variable with the path of a built binary. Main sets it; set beforehand, that binary is tested.
const binaryEnv = "POSTRIDER_BIN"

const buildTimeout = 5 * time.Minute

// Main builds cmd/postrider, runs the tests, and returns the exit code.
func Main(m *testing.M) int {
	if os.Getenv(binaryEnv) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "postrider-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin, err := build(dir)
	if err == nil {
		err = os.Setenv(binaryEnv, bin)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build compiles the command as `make build` does.
func build(dir string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "postrider")
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, "./cmd/postrider")
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build postrider: %w\n%s", err, out)
	}
	return bin, nil
}

// Binary is the path of the built postrider.
func Binary(t testing.TB) string {
	t.Helper()
	bin := os.Getenv(binaryEnv)
	if bin == "" {
		t.Fatal("no binary: the test's package lacks TestMain with system.Main")
	}
	return bin
}

// moduleRoot is the folder of go.mod: tests run in their package's folder, below it.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			err = errors.New("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// lookAtSource looks at every source file of the server: the test cache notes what a test looks at, and would otherwise
// repeat the result of an earlier server, because it does not see what `go build` reads.
func lookAtSource(t testing.TB) {
	t.Helper()
	root, err := moduleRoot()
	for _, dir := range []string{"cmd/postrider", "internal"} {
		if err == nil {
			err = filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
				if err == nil && (filepath.Ext(path) == ".go" || filepath.Ext(path) == ".sql") {
					_, err = os.Stat(path)
				}
				if errors.Is(err, fs.ErrNotExist) {
					err = nil // somebody is working there
				}
				return err
			})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
