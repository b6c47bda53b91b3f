package system

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binaryEnv names the variable with the path of a built binary. Main sets it; set beforehand, that binary is tested.
const binaryEnv = "POSTRIDER_BIN"

const buildTimeout = 5 * time.Minute

// Main builds cmd/postrider, runs the tests, and returns the exit code. Listing tests or running none builds nothing
// less: it is the go tool's cache that makes it cheap.
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
	mod, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	bin := filepath.Join(dir, "postrider")
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, "./cmd/postrider")
	c.Dir = strings.TrimSpace(string(mod))
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
