package mtas

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/postrider/postrider/internal/node"
	peer "github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/needs"
)

//go:embed conf/main.cf
var mainCF string

//go:embed conf/master.cf
var masterCF string

// postfix is a real Postfix with its own configuration, queue and mailboxes (Maildir).
type postfix struct {
	ns  namespace
	dir string
}

// newPostfix sets it up; it runs from start on.
func newPostfix(t *testing.T, ns namespace, dir string) *postfix {
	t.Helper()
	needs.Program(t, "postfix")
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	p := &postfix{ns, dir}
	uid, err1 := strconv.Atoi(owner.Uid)
	gid, err2 := strconv.Atoi(owner.Gid)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for _, sub := range []string{"etc", "queue", "state", "mail"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"state", "mail"} {
		if err := os.Chown(filepath.Join(dir, sub), uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	values := map[string]any{"Dir": dir, "Daemons": filepath.Dir(needs.Program(t, "master")), "IPv4": postfixIPv4, "IPv6": postfixIPv6, "UID": uid, "GID": gid}
	for name, text := range map[string]string{"main.cf": mainCF, "master.cf": masterCF} {
		var b bytes.Buffer
		if err := template.Must(template.New(name).Option("missingkey=error").Parse(text)).Execute(&b, values); err != nil {
			t.Fatal(err)
		}
		p.table(t, name, b.String())
	}
	p.table(t, "users", "bob@b.example bob/\ncarol@b.example carol/\ndave@b.example dave/\ngrey@b.example grey/\n"+
		"jürgen@b.example juergen/\nbob@direct.example bob/\n")
	p.table(t, "aliases", "loop@b.example loop@a.example\n")
	p.table(t, "access", "grey@b.example 450 4.7.1 Greylisted, try again later\n")
	if err := node.MakeCertificates(filepath.Join(dir, "etc"), "mx.b.example", time.Now()); err != nil { // signed by nobody known
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of Postfix's log:\n%s", tail(p.log()))
		}
	})
	return p
}

// table writes a file of the configuration. Running daemons see it after reload.
func (p *postfix) table(t testing.TB, name, text string) {
	t.Helper()
	peer.WriteFile(t, filepath.Join(p.dir, "etc", name), text)
}

// control runs a command of Postfix.
func (p *postfix) control(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := p.ns.command(needs.Program(t, program), append([]string{"-c", filepath.Join(p.dir, "etc")}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

func (p *postfix) start(t testing.TB) {
	t.Helper()
	p.control(t, "postfix", "start")
	p.ns.await(t, postfixIPv4+":25", "220")
}

func (p *postfix) stop(t testing.TB) {
	t.Helper()
	p.control(t, "postfix", "stop")
}

func (p *postfix) log() string {
	b, err := os.ReadFile(filepath.Join(p.dir, "maillog"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// mail waits for a message with a text in a mailbox and returns it, its lines ending in LF.
func (p *postfix) mail(t testing.TB, box, text string) string {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(p.dir, "mail", box, "new", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(b, []byte(text)) {
				return string(b)
			}
		}
	}
	t.Fatalf("no mail with %q in %s's mailbox", text, box)
	return ""
}

// logged waits for a line of the log that has all the texts, and returns it.
func (p *postfix) logged(t testing.TB, texts ...string) string {
	t.Helper()
	return await(t, fmt.Sprintf("line with %q in Postfix's log", texts), func() string { return lineWith(p.log(), texts...) })
}

// lineWith returns the last line that has all the texts.
func lineWith(log string, texts ...string) string {
	found := ""
	for line := range strings.Lines(log) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			found = line
		}
	}
	return found
}

// await waits until find finds something.
func await(t testing.TB, what string, find func() string) string {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if s := find(); s != "" {
			return s
		}
	}
	t.Fatalf("no %s", what)
	return ""
}

// patience bounds every waiting; the machine may be busy.
const patience = 30 * time.Second

func tail(s string) string {
	const most = 30000
	if len(s) > most {
		return "… " + s[len(s)-most:]
	}
	return s
}
