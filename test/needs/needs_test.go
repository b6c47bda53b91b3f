package needs

import (
	"testing"
	"time"
)

func TestProgramIsFound(t *testing.T) {
	if p := Program(t, "sh"); p == "" {
		t.Fatal("no path")
	}
	if p, ok := find("no-such-program-here"); ok {
		t.Fatalf("found %s", p)
	}
}

// A missing program is loud where the machine is ours to prepare.
func TestMissingIsAFailureAsRootAndInCI(t *testing.T) {
	for _, c := range []struct {
		uid  int
		ci   string
		want bool
	}{{0, "", true}, {0, "true", true}, {1000, "true", true}, {1000, "", false}, {1000, "false", false}} {
		if got := mandatory(c.uid, c.ci); got != c.want {
			t.Errorf("uid %d, CI=%q: %v", c.uid, c.ci, got)
		}
	}
}

func TestDuration(t *testing.T) {
	for v, want := range map[string]time.Duration{"": time.Minute, "5": 5 * time.Second, "2m": 2 * time.Minute} {
		t.Setenv("NEEDS_TEST", v)
		if got := Duration(t, "NEEDS_TEST", time.Minute); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
}
