package db_test

import (
	"os/exec"
	"strings"
	"testing"
)

// modernc.org/sqlite is translated C that works only with the modernc.org/libc it was made with: ours must be exactly the
// one its go.mod names.
func TestLibcIsTheOneSQLiteNames(t *testing.T) {
	out, err := exec.Command("go", "mod", "graph").Output()
	if err != nil {
		t.Fatalf("go mod graph: %v", err)
	}
	var ours, sqlites string
	for line := range strings.Lines(string(out)) {
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		version, isLibc := strings.CutPrefix(to, "modernc.org/libc@")
		switch {
		case isLibc && !strings.Contains(from, "@"):
			ours = version
		case isLibc && from == "modernc.org/sqlite@v1.61.1":
			sqlites = version
		}
	}
	if ours == "" || ours != sqlites {
		t.Errorf("go.mod has modernc.org/libc %q, modernc.org/sqlite v1.61.1 wants %q", ours, sqlites)
	}
}
