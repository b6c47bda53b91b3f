package interop

import (
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// mpopNoPermit is mpop's exit code for a failed login, of sysexits(3).
const mpopNoPermit = 77

func TestMpop(t *testing.T) {
	s := system.Start(t, system.Options{})
	samples(t, s, 3)
	password := writeFile(t, "password", s.Alice.Password+"\n")
	run := func(code int, service, maildir, state string, more ...string) string {
		t.Helper()
		args := []string{"--file=/dev/null", "--host=localhost", "--port=" + s.Port(t, service), "--tls", "--tls-trust-file=" + s.CA, "--user=" + s.Alice.Address,
			"--passwordeval=cat " + password, "--delivery=maildir," + maildir, "--uidls-file=" + state, "--timeout=60", "--received-header=off", "--auth=plain"}
		if service == "pop3s" {
			args = append(args, "--tls-starttls=off")
		}
		return system.Run(t, system.Command{Name: "mpop", Args: append(args, more...), Code: code}).All()
	}
	all := func(n int) (want []string) {
		for i := range n {
			want = append(want, sample(i))
		}
		return want
	}
	maildir, state := newMaildir(t), filepath.Join(t.TempDir(), "uidls")
	run(0, "pop3s", maildir, state, "--keep=on")
	same(t, "the Maildir", maildirTexts(t, maildir), all(3)...)
	run(0, "pop3", maildir, state, "--keep=on", "--auth=scram-sha-256") // STLS; all are known by their UIDLs
	same(t, "the Maildir after a second run", maildirTexts(t, maildir), all(3)...)
	system.Append(t, s.IMAP(t, s.Alice), "INBOX", []byte(sample(3)))
	run(0, "pop3s", maildir, state, "--keep=on", "--auth=user")
	same(t, "the Maildir after a third run", maildirTexts(t, maildir), all(4)...)
	s.Await(t, s.Alice, "INBOX", 4)
	other := newMaildir(t)
	run(0, "pop3s", other, filepath.Join(t.TempDir(), "uidls"), "--keep=off", "--auth=login")
	same(t, "the other Maildir", maildirTexts(t, other), all(4)...)
	s.Await(t, s.Alice, "INBOX", 0)

	info := run(0, "pop3", maildir, state, "--serverinfo")
	contains(t, info, "PIPELINING", "UIDL", "TOP", "SCRAM-SHA-256", "EXPIRE NEVER")
	contains(t, run(mpopNoPermit, "pop3s", maildir, state, "--passwordeval=echo wrong"), "authentication failed (method PLAIN)")
}
