package aliases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

const domain = "here.example"

// world is one side's users with their homes, alias file and lists. DIR in a text stands for its folder.
type world struct{ dir string }

var ids = map[string]int{"al": 62001, "bo": 62002, "cy": 62003, "di": 62004, "list": 62010}

const aliasFile = `
root: al
postmaster: root
team: al, bo, far@far.test
nested: team, cy
owner-nested: cy
self: self, al
loop1: loop2, al
loop2: loop1
onlyloop: onlyloop
members: :include:DIR/lists/members
writable: :include:DIR/lists/writable, al
missing: al, :include:DIR/lists/missing
command: "|cat > DIR/out/command"
plain: |/usr/bin/tee DIR/out/plain
env: "|env | grep -E '^(SENDER|RECIPIENT|EXTENSION|ORIGINAL_RECIPIENT|PATH)=' | sort > DIR/out/env; id -un >> DIR/out/env"
tempfail: "|exit 75"
nouser: "|exit 67"
text: "|echo the list is closed; exit 77"
odd: "|exit 3"
killed: "|kill -9 $$"
ownstatus: "|echo 5.7.99 not for you; exit 69"
mbox: DIR/out/mbox
maildir: DIR/out/maildir/
unwritable: /proc/version
executable: DIR/out/executable
null: /dev/null
mixed: al, "|cat > DIR/out/mixed", DIR/out/mixed.mbox, far@far.test, al, AL
quoted: \bo
dup: al, al@here.example, team
twice: bo+inc, bo+inc@here.example, again
again: bo+inc
forwarder: cy
list-request: bo
owned: DIR/out/owned.mbox, "|cat > DIR/out/owned"
owner-owned: al
ownfail: "|exit 67", far@far.test
owner-ownfail: bo+own
`

// files are those of a home or a folder: name, owner, mode, text.
var files = []struct {
	name, owner string
	mode        fs.FileMode
	text        string
}{
	{"lists/members", "root", 0o644, "# comment\nal, bo\nfar@far.test\n  ,cy\n"},
	{"lists/writable", "root", 0o666, "bo\n"},
	{"out/executable", "nobody", 0o755, ""},
	{"home/bo/.forward", "bo", 0o644, "\\bo, copy@far.test\n"},
	{"home/bo/.forward+cmd", "bo", 0o600, "\"|cat > DIR/home/bo/cmd\"\n"},
	{"home/bo/.forward+box", "bo", 0o600, "DIR/home/bo/box\n"},
	{"home/bo/.forward+dir", "bo", 0o600, "DIR/home/bo/dir/\n"},
	{"home/bo/.forward+inc", "bo", 0o600, ":include:DIR/home/bo/inc\n"},
	{"home/bo/inc", "bo", 0o600, "inc@far.test\nal\n"},
	{"home/bo/.forward+fail", "bo", 0o600, "\"|exit 77\", bo\n"},
	{"home/cy/.forward", "cy", 0o644, "forwarder, cy@far.test\n"},
	{"home/di/.forward", "di", 0o666, "wrong@far.test\n"},
}

// recipients get one message each.
var recipients = []string{"al", "root", "postmaster", "team", "nested", "self", "loop1", "members", "writable", "command", "plain", "env+extra",
	"nouser", "text", "odd", "killed", "ownstatus", "mbox", "maildir", "executable", "null", "mixed", "quoted", "dup", "twice", "forwarder", "list-request",
	"owned", "ownfail", "bo", "bo+cmd", "bo+box", "bo+dir", "bo+inc", "bo+fail", "bo+other", "cy", "di", "tempfail"}

func newWorld(t testing.TB, dir string) *world {
	t.Helper()
	w := &world{dir}
	passwd, err := os.ReadFile("/etc/passwd")
	must(t, err)
	text := string(passwd)
	for name, id := range ids {
		home := w.path("home", name)
		must(t, os.MkdirAll(home, 0o755), os.Chown(home, id, id))
		text += fmt.Sprintf("%s-x:x:%d:%d::%s:/bin/sh\n", name, id, id, home)
		text = strings.Replace(text, name+"-x:", name+":", 1)
	}
	must(t, os.WriteFile(w.path("passwd"), []byte(text), 0o644), os.Mkdir(w.path("lists"), 0o755), os.Mkdir(w.path("out"), 0o755), os.Chmod(w.path("out"), 0o777))
	w.write(t, "aliases", "root", 0o644, aliasFile)
	w.write(t, "transport", "root", 0o644, transports)
	w.write(t, "lists/args", "root", 0o755, argsScript)
	for _, f := range files {
		w.write(t, f.name, f.owner, f.mode, f.text)
	}
	return w
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

func (w *world) write(t testing.TB, name, owner string, mode fs.FileMode, text string) {
	t.Helper()
	path, id := w.path(name), ids[owner]
	if owner == "nobody" {
		id = 65534
	}
	must(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", w.dir)), 0o600), os.Chown(path, id, id), os.Chmod(path, mode))
}

// command runs a program where /etc/passwd has the world's users, in a mount namespace of its own.
func (w *world) command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	needs.Root(t, "a mount namespace with other users")
	args = append([]string{"--mount", "--", "sh", "-c", `mount --bind "$1" /etc/passwd && shift && exec "$@"`, "sh", w.path("passwd"), name}, args...)
	return exec.Command(needs.Program(t, "unshare"), args...)
}

func (w *world) run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := w.command(t, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// left is what stands in the files of a world: its outputs, by path, with what differs between any two runs left out.
func (w *world) left(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, top := range []string{"out", "home"} {
		must(t, filepath.WalkDir(w.path(top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.Contains(path, "/Maildir/") || strings.Contains(d.Name(), ".forward") || d.Name() == "inc" {
				return err
			}
			text, err := os.ReadFile(path)
			name := strings.TrimPrefix(path, w.dir)
			if i := strings.Index(name, "/new/"); i >= 0 {
				name = name[:i+5]
			}
			info, serr := d.Info()
			all[name] = fmt.Sprintf("mode %v\n%s", info.Mode().Perm(), w.plain(string(text)))
			return errors.Join(err, serr)
		}))
	}
	return all
}

// plain leaves out what is this run's or this program's own: Received, Message-ID, dates, folders.
func (w *world) plain(text string) string {
	var out []string
	skip := false
	for line := range strings.Lines(strings.ReplaceAll(text, w.dir, "DIR")) {
		switch name, _, _ := strings.Cut(line, ":"); {
		case skip && (line[0] == ' ' || line[0] == '\t'):
			continue
		case strings.HasPrefix(line, "From "):
			line = strings.Join(strings.Fields(line)[:2], " ") + "\n"
			skip = false
		default:
			if skip = name == "Received" || name == "Message-Id" || name == "Message-ID" || name == "Date" || name == "From"; skip {
				continue
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

const patience = time.Minute

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
