package milter

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// Rspamd by its milter mode: spam is marked, the worst refused with Rspamd's words; what it cannot see does not pass.
func TestRspamd(t *testing.T) {
	program := needs.Program(t, "rspamd")
	dir := folder(t)
	socket := filepath.Join(dir, "r.sock")
	conf := write(t, filepath.Join(dir, "rspamd.conf"), fmt.Sprintf(`
options { pidfile = "%[1]s/pid"; tempdir = "%[1]s"; url_tld = "/usr/share/rspamd/effective_tld_names.dat"; dns { nameserver = ["127.0.0.1:9:1"]; timeout = 0.1s; retransmits = 1; }
  enable_test_patterns = true; control_socket = "%[1]s/control"; filters = ""; hs_cache_dir = "%[1]s"; }
logging { type = "console"; level = "info"; }
metric "default" { actions { reject = 15; add_header = 6; greylist = 4; } }
worker "rspamd_proxy" { bind_socket = "%[2]s mode=0666"; milter = yes; timeout = 60s; count = 1;
  upstream "local" { default = yes; self_scan = yes; } spam_header = "X-Spam"; reject_message = "Spam message rejected"; }
`, dir, socket))
	start(t, socket, program, "-f", "-i", "-c", conf)
	s := system.Start(t, system.Options{Set: []string{fmt.Sprintf(`filters.smtpd_milters=["{ unix:%s, command_timeout=20s }"]`, socket)}})
	send := func(code int, subject, body string) string {
		return swaks(t, s, "smtp", code, "--from", "x@far.example", "--to", s.Alice.Address, "--header", "Subject: "+subject, "--body", body)
	}
	const gtube = "JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
	send(sent, "good", "just a letter")
	contains(t, last(t, s, s.Alice, "INBOX", 1), "Subject: good")
	contains(t, send(refused, "bad", "X"+gtube), "<** 554 5.7.1 ")
	send(sent, "doubtful", "Y"+gtube)
	contains(t, last(t, s, s.Alice, "INBOX", 2), "Subject: doubtful", "X-Spam: Yes")
}
