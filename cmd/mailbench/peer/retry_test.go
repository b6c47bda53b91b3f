package peer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A start that failed before there were accounts must not keep the next one from making them.
func TestAccountsAreMadeAfterAFirstStartThatFailed(t *testing.T) {
	dir := t.TempDir()
	if _, err := certificate(dir); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "fake")
	script := `#!/bin/sh
here=$(dirname "$0")
case $1 in
account) cat >>"$here/accounts"; exit 0 ;;
esac
if [ ! -e "$here/tried" ]; then touch "$here/tried"; echo "the first time fails" >&2; exit 1; fi
echo '{"ready":true,"ca":"'"$here"'/cert.pem","listeners":{"smtp":"x","submission":"x","imaps":"x","pop3s":"x"}}'
exec sleep 60
`
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	p := NewPostrider(PostriderOptions{Program: program, Dir: filepath.Join(dir, "x"), Users: 2})
	if err := p.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "the first time fails") {
		t.Fatalf("%v", err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if made, err := os.ReadFile(filepath.Join(dir, "accounts")); err != nil || strings.Count(string(made), "\n") != 2 {
		t.Errorf("%v: %q", err, made)
	}
}
