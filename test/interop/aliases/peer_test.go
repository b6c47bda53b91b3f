package aliases

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	peer "github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/needs"
)

// postfix is a Postfix that delivers by local(8), and discards what leaves.
type postfix struct{ *world }

const masterCF = `pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
postlog unix-dgram n - n - 1 postlogd
` + pipeCF

func newPostfix(t *testing.T, dir string, more ...string) *postfix {
	t.Helper()
	p := &postfix{newWorld(t, dir)}
	daemons := filepath.Dir(needs.Program(t, "master"))
	for _, sub := range []string{"etc", "queue", "state"} {
		must(t, os.Mkdir(p.path(sub), 0o755))
	}
	p.run(t, "chown", "postfix", p.path("state"))
	peer.WriteFile(t, p.path("etc", "master.cf"), strings.ReplaceAll(masterCF, "DIR", p.dir))
	peer.WriteFile(t, p.path("etc", "main.cf"), strings.ReplaceAll(`
compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/state
daemon_directory = `+daemons+`
maillog_file = DIR/log
maillog_file_prefixes = DIR
inet_interfaces =
mynetworks =
myhostname = mx.here.example
mydomain = here.example
myorigin = here.example
mydestination = here.example
alias_maps = hash:DIR/aliases
alias_database = hash:DIR/aliases
recipient_delimiter = +
default_transport = discard:
notify_classes =
biff = no
transport_maps = texthash:DIR/transport
pflags_destination_recipient_limit = 1
`+strings.Join(append(more, "home_mailbox = Maildir/")[:max(1, len(more))], "\n")+"\n", "DIR", p.dir))
	p.run(t, "postalias", "-c", p.path("etc"), "hash:"+p.path("aliases"))
	p.run(t, "postfix", "-c", p.path("etc"), "start")
	t.Cleanup(func() {
		p.run(t, "postfix", "-c", p.path("etc"), "stop")
		if t.Failed() {
			log := p.log(t)
			t.Logf("the end of Postfix's log:\n%s", log[max(0, len(log)-3000):])
		}
	})
	return p
}

func (p *postfix) log(t testing.TB) string {
	text, err := os.ReadFile(p.path("log"))
	must(t, err)
	return string(text)
}

// send sends a message and returns what became of it, once nothing is left to do.
func (p *postfix) send(t testing.TB, to string) []string {
	t.Helper()
	before := len(p.log(t))
	c := p.command(t, "sendmail", append([]string{"-C", p.path("etc"), "-i", "-f", sender}, full(to)...)...)
	c.Stdin = strings.NewReader(message(to))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("sendmail: %v\n%s", err, out)
	}
	var log string
	eventually(t, "Postfix has done with mail to "+to, func() bool {
		log = p.log(t)[before:]
		began, ended := strings.Count(log, "postfix/qmgr"), strings.Count(log, ": removed\n")
		active := strings.Count(log, "(queue active)")
		return active > 0 && (ended == active || strings.Contains(log, "status=deferred")) && began > 0
	})
	if strings.Contains(log, "status=deferred") {
		p.run(t, "postsuper", "-c", p.path("etc"), "-d", "ALL")
	}
	return p.outcomes(log)
}

// boxes counts the messages in each user's mailbox.
func (p *postfix) boxes(t testing.TB) map[string]int {
	n := map[string]int{}
	for name := range ids {
		files, err := filepath.Glob(p.path("home", name, "Maildir", "new", "*"))
		must(t, err)
		n[name] = len(files)
	}
	return n
}

const sender = "stranger@far.test"

func message(to string) string {
	return fmt.Sprintf("From: <%s>\nTo: <%s>\nSubject: %s\n\nFrom the start\n>From here\nbody\n", sender, full(to)[0], to)
}
