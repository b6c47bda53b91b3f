package aliases

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var attempt = regexp.MustCompile(`: to=<([^>]*)>,.* dsn=([0-9.]+), status=([a-z]+) \((.*)\)`)

// outcomes reads the lines of a log that say what became of a recipient: each once, sorted.
func (w *world) outcomes(log string) []string {
	seen := map[string]bool{}
	for line := range strings.Lines(log) {
		m := attempt.FindStringSubmatch(strings.ReplaceAll(line, w.dir, "DIR"))
		if m == nil || m[1] == sender {
			continue // what goes back to the sender is compared by what went wrong
		}
		to, dsn, status, said := m[1], m[2], m[3], m[4]
		switch {
		case strings.HasPrefix(said, "forwarded as"):
			continue // what it was forwarded to has a line of its own
		case status != "sent":
			seen[fmt.Sprintf("%s %s", status, dsn)] = true
		case !strings.HasSuffix(to, "@"+domain):
			seen[to] = true
		case strings.HasPrefix(said, "delivered to command"), strings.HasPrefix(said, "delivered to file") && !strings.Contains(said, "/dev/null"):
			seen[said] = true
		case strings.HasPrefix(said, "delivered to mailbox"), strings.HasPrefix(said, "delivered to maildir"):
			seen["box"] = true
		default:
			seen["discarded"] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// differing are those where Postrider decides otherwise on purpose: docs/aliases.md.
var differing = map[string]string{
	"plain": "a command without quotes is one command, blanks and all; Postfix takes its words for destinations",
}

func TestSameAsPostfix(t *testing.T) {
	t.Parallel() // most of it is waiting for programs
	top := t.TempDir()
	must(t, os.Chmod(top, 0o755), os.Chmod(filepath.Dir(top), 0o755), os.Mkdir(filepath.Join(top, "p"), 0o755), os.Mkdir(filepath.Join(top, "r"), 0o755))
	theirs := newPostfix(t, filepath.Join(top, "p"))
	ours := newRider(t, filepath.Join(top, "r"))
	theirBoxes, ourBoxes := theirs.boxes(t), ours.boxes(t)
	all := slices.Concat(recipients, pipeRecipients)
	for i, to := range all {
		a, b := theirs.send(t, to), ours.send(t, to)
		same := slices.Equal(a, b) || slices.Equal(b, []string{"refused"}) && !slices.ContainsFunc(a, func(s string) bool { return !strings.HasPrefix(s, "bounced") })
		if why := differing[to]; same == (why != "") {
			t.Errorf("%s: Postfix %q, Postrider %q; expected difference: %q", to, a, b, why)
		}
		if i < len(all)-1 && !slices.Contains(a, "box") && !slices.Contains(b, "box") {
			continue // what nobody says is seen at the next count
		}
		theirNow, ourNow := theirs.boxes(t), ours.boxes(t)
		for _, user := range users {
			if x, y := theirNow[user]-theirBoxes[user], ourNow[user]-ourBoxes[user]; x != y {
				t.Errorf("%s: %s got %d from Postfix, %d from Postrider", to, user, x, y)
			}
		}
		theirBoxes, ourBoxes = theirNow, ourNow
	}
	x, y := theirs.left(t), ours.left(t)
	for name, text := range y { // Postfix sends what has an owner a second time, and forgets X-Original-To on the way
		if strings.HasPrefix(name, "/out/owned") {
			y[name] = strings.Replace(text, "X-Original-To: owned@"+domain+"\n", "", 1)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x)) {
		if to := strings.TrimPrefix(name, "/out/"); x[name] != y[name] && differing[to] == "" {
			t.Errorf("%s: Postfix left\n%q\nPostrider\n%q", name, x[name], y[name])
		}
		delete(y, name)
	}
	for name, text := range y {
		t.Errorf("only Postrider left %s: %s", name, text)
	}
}
