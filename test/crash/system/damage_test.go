package system

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/needs"
)

// TestDamagedRecord flips one bit of a message in the middle of a pack: one that no mailbox has yet, then one that is in a
// mailbox. The server starts, names the damage, delivers and shows all the others, and never shows the damaged one.
func TestDamagedRecord(t *testing.T) {
	needs.Quick(t, "strace")
	needs.Program(t, "strace")
	s, p := running(t)
	// The database has no room, the packs have: what is acknowledged stays in the journal.
	stop, err := Inject(p, "pwrite64", "error=ENOSPC")
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for i := range 5 {
		tokens = append(tokens, fmt.Sprintf("message-%d-end", i))
		if err := sendOne(p, tokens[i]); err != nil {
			t.Fatal(err)
		}
	}
	p.Kill()
	stop()
	flip(t, s.Dir, tokens[2])

	p = started(t, s)
	if err := p.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err := ListAll(p, s.Accounts)
	if err != nil {
		t.Fatal(err)
	}
	owed(t, found, slices.Concat(tokens[:2], tokens[3:]))
	if len(found) != 4 {
		t.Errorf("%d messages, the damaged one among them: %v", len(found), found)
	}
	if log := p.Log(); !strings.Contains(log, "damage in a pack") || !strings.Contains(log, "pack=") || !strings.Contains(log, "from=") {
		t.Errorf("the log does not say what is damaged: %s", log)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}

	flip(t, s.Dir, tokens[1])
	p = started(t, s)
	found, err = ListAll(p, s.Accounts)
	if err != nil {
		t.Fatal(err)
	}
	whole := 0
	for _, f := range found {
		switch {
		case f.Err == nil && f.Token != tokens[1]:
			whole++
		case f.Err == nil:
			t.Errorf("%s is shown though a bit of it is wrong", f.Token)
		default:
			if refused := (*Refused)(nil); !errors.As(f.Err, &refused) {
				t.Errorf("%s: bytes were shown that nobody sent: %v", f.Place, f.Err)
			}
			t.Log(f.Err)
		}
	}
	if len(found) != 4 || whole != 3 {
		t.Errorf("%d messages, %d of them whole", len(found), whole)
	}
	if log := p.Log(); !strings.Contains(log, "damaged") {
		t.Errorf("the log does not say why a message cannot be read: %s", log)
	}
	if err := sendOne(p, "after-the-damage"); err != nil {
		t.Error(err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
}

// flip turns one bit in the body of the message of token, in whichever pack has it.
func flip(t *testing.T, dir, token string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		line := bytes.Index(b, []byte(token+" 000003 "))
		if line < 0 {
			continue
		}
		b[line+len(token)+10] ^= 4
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no pack has %s", token)
}
