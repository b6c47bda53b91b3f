// Package trace sends mail through Postrider to Debian's Postfix and compares what `postrider trace` tells of it with Postfix's own
// log; and reads the trace of a server that was killed, with Debian's zstd too.
package trace

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// story is what --json has of a message.
type story struct {
	ID      string `json:"queue_id"`
	Cause   string `json:"cause"`
	Records []struct {
		Event   string   `json:"event"`
		Relay   string   `json:"relay"`
		Replies []string `json:"replies"`
		Reply   string   `json:"reply"`
		Status  string   `json:"status"`
		Phase   string   `json:"phase"`
	} `json:"records"`
}

// traceOf asks until a story has an outcome.
func traceOf(t *testing.T, s *system.System, what, status string) []story {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		r := system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"trace", "--dir", s.Dir, "--json", what}})
		var list []story
		if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
			t.Fatalf("%v: %s", err, r.Stdout)
		}
		for _, one := range list {
			for _, rec := range one.Records {
				if rec.Status == status {
					return list
				}
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%s is never %s: %s", what, status, r.Stdout)
		}
	}
}

func TestTraceAgreesWithPostfix(t *testing.T) {
	swaks := needs.Program(t, "swaks")
	p := postfix.Start(t, postfix.Config{Main: "mydestination = there.example\nlocal_recipient_maps = inline:{{good = x}, {later = x}}\nlocal_transport = discard:\n" +
		"smtpd_recipient_restrictions = check_recipient_access inline:{{later@there.example = 450 4.7.1 come back}}, reject_unauth_destination\n"})
	s := system.Start(t, system.Options{Set: []string{`routing.relayhost="[127.0.0.1]:` + port(p.Address) + `"`, `access.mynetworks=["127.0.0.0/8"]`}})
	send := func(to string) {
		t.Helper()
		out, err := exec.Command(swaks, "--server", s.Listeners["smtp"], "--from", "alice@here.example", "--to", to, "--silent", "2").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, c := range []struct{ to, status, phase string }{{"good@there.example", "sent", ""}, {"nobody@there.example", "bounced", ""}, {"later@there.example", "deferred", ""}} {
		send(c.to)
		list := traceOf(t, s, c.to, c.status)
		var replies []string
		relay := ""
		for _, rec := range list[0].Records {
			if rec.Event == "attempt" {
				replies, relay = rec.Replies, rec.Relay
			}
		}
		if len(replies) == 0 || !strings.HasSuffix(relay, "[127.0.0.1]:"+port(p.Address)) {
			t.Errorf("%s: replies %q of %q", c.to, replies, relay)
			continue
		}
		last := replies[len(replies)-1]
		switch c.status {
		case "sent": // with the id that Postfix gave it
			m := regexp.MustCompile(`^250 2\.0\.0 Ok: .*queued as (\S+)$`).FindStringSubmatch(last)
			if m == nil {
				t.Errorf("last reply %q", last)
				continue
			}
			p.Logged(t, m[1], "to=<good@there.example>")
		default: // the words that Postfix logs
			code := map[string]string{"bounced": "550 5.1.1", "deferred": "450 4.7.1"}[c.status]
			found := false
			for _, r := range replies {
				found = found || strings.HasPrefix(r, code) && strings.Contains(p.Log(), strings.TrimSpace(r))
			}
			if !found {
				t.Errorf("%s: none of %q is in Postfix's log", c.to, replies)
			}
		}
		if bounce := c.status == "bounced"; bounce != (len(list) == 2) || bounce && list[1].Cause != list[0].ID {
			t.Errorf("%s: %d stories", c.to, len(list))
		}
	}

	s.Kill(t)
	r := system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"trace", "--dir", s.Dir, "later@there.example"}})
	if !strings.Contains(r.Stdout, "deferred") || !strings.Contains(r.Stdout, "come back") {
		t.Errorf("of a killed server: %s", r.All())
	}
	files, err := filepath.Glob(filepath.Join(s.Dir, "trace", "*.trace.zst"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	r = system.Run(t, system.Command{Name: "zstd", Args: append([]string{"-dc"}, files...)})
	if !strings.Contains(r.Stdout, `"to":"good@there.example"`) {
		t.Errorf("zstd: %s", r.All())
	}
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
