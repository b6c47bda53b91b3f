package aliases

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// rider is a quickstart with its helper.
type rider struct {
	*world
	*system.System
}

// users have a mailbox in the mailstore.
var users = []string{"al", "bo", "cy", "di"}

func newRider(t *testing.T, dir string, more ...string) *rider {
	t.Helper()
	r := &rider{world: newWorld(t, dir)}
	conf := strings.ReplaceAll(`
helper.enabled = true
helper.socket = "DIR/helper.sock"
auth.system = "shadow"
routing.alias_maps = ["hash:DIR/aliases"]
routing.allow_mail_to_commands = ["alias", "forward"]
routing.allow_mail_to_files = ["alias", "forward"]
routing.forward_path = ["$home/.forward${recipient_delimiter}${extension}", "$home/.forward"]
routing.default_transport = "discard:"
routing.transport_maps = ["texthash:DIR/transport"]
routing.relay_domains = ["pipe.example"]
`+ourPipes+`
log.format = "maillog"
`, "DIR", dir)
	conf += strings.Join(more, "\n") + "\n"
	must(t, os.WriteFile(r.path("postrider.toml"), []byte(conf), 0o644))
	// With the capabilities that docs/aliases.md gives its unit, and no other.
	helper := r.command(t, needs.Program(t, "setpriv"), "--bounding-set=-all,+dac_read_search,+setuid,+setgid,+kill", "--no-new-privs",
		system.Binary(t), "privhelper", "--config", r.path("postrider.toml"), "--socket", r.path("helper.sock"), "--peer-uid", "0")
	log, err := os.Create(r.path("helper.log"))
	must(t, err)
	helper.Stderr = log
	must(t, helper.Start(), log.Close())
	t.Cleanup(func() {
		must(t, helper.Process.Signal(os.Interrupt))
		_ = helper.Wait()
	})
	eventually(t, "the helper listens", func() bool { _, err := os.Stat(r.path("helper.sock")); return err == nil })
	var set []string
	for line := range strings.Lines(strings.TrimSpace(conf)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		set = append(set, key+"="+value)
	}
	r.System = system.Start(t, system.Options{Domain: domain, Set: append(set, "submission.trusted_networks=[\"127.0.0.0/8\"]")})
	for _, name := range users {
		system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"account", "add", name + "@" + domain, "--system", "--dir", r.Dir}})
	}
	return r
}

func (r *rider) log(t testing.TB) string { return r.Log(1 << 30) }

// send sends a message and returns what became of it, once nothing is left to do.
func (r *rider) send(t testing.TB, to string) []string {
	t.Helper()
	before := len(r.log(t))
	reply := system.Run(t, system.Command{Name: "swaks", Args: []string{"--server", "127.0.0.1:" + r.Port(t, "smtp"), "--from", sender, "--to", strings.Join(full(to), ","),
		"--data", strings.ReplaceAll(strings.TrimSuffix(message(to), "\n"), "\n", "\\n"), "--hide-all"}, AnyCode: true})
	if reply.Code != 0 {
		return []string{"refused"}
	}
	var log string
	eventually(t, "Postrider has done with mail to "+to, func() bool {
		list := strings.TrimSpace(r.postrider(t, "queue", "list", "--json"))
		log = r.log(t)[before:]
		return list == "[]" && strings.Contains(log, ": removed") || strings.Contains(log, "status=deferred")
	})
	if strings.Contains(log, "status=deferred") {
		var waiting []struct {
			ID string `json:"queue_id"`
		}
		must(t, json.Unmarshal([]byte(r.postrider(t, "queue", "list", "--json")), &waiting))
		for _, job := range waiting {
			r.postrider(t, "queue", "delete", job.ID)
		}
	}
	return r.outcomes(log)
}

func (r *rider) postrider(t testing.TB, args ...string) string {
	t.Helper()
	return system.Run(t, system.Command{Name: system.Binary(t), Args: append(args, "--dir", r.Dir)}).Stdout
}

// boxes counts the messages in each user's mailbox.
func (r *rider) boxes(t testing.TB) map[string]int {
	n := map[string]int{}
	for _, name := range users {
		out := r.postrider(t, "mail", "list", "INBOX", "--account", name+"@"+domain, "--json")
		n[name] = strings.Count(out, `"uid"`)
	}
	return n
}
