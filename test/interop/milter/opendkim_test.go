package milter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// opendkim starts one in a mode: "s" signs, "v" verifies. The DNS that it sees is a file.
func opendkim(t *testing.T, dir, mode, internal string) (item string) {
	t.Helper()
	socket := filepath.Join(dir, mode+".sock")
	conf := write(t, filepath.Join(dir, mode+".conf"), fmt.Sprintf(`Mode %s
Domain here.example
Selector sel
KeyFile %s/sel.private
Socket local:%s
Canonicalization relaxed/simple
InternalHosts %s
RequireSafeKeys false
Background no
Syslog no
UMask 000
TestDNSData %s/dns
PidFile %s/%s.pid
`, mode, dir, socket, internal, dir, dir, mode))
	start(t, socket, needs.Program(t, "opendkim"), "-f", "-x", conf)
	return "unix:" + socket
}

// OpenDKIM signs what a user submits, with what we completed; another one verifies it at the next server; and finds that it was
// changed on the way.
func TestOpenDKIM(t *testing.T) {
	dir := folder(t)
	system.Run(t, system.Command{Name: needs.Program(t, "opendkim-genkey"), Args: []string{"-D", dir, "-d", "here.example", "-s", "sel", "-b", "2048"}})
	record, err := os.ReadFile(filepath.Join(dir, "sel.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var value strings.Builder // of the quoted strings of a zone file
	for i, part := range strings.Split(string(record), `"`) {
		if i%2 == 1 {
			value.WriteString(part)
		}
	}
	write(t, filepath.Join(dir, "dns"), "sel._domainkey.here.example "+value.String()+"\n")

	signer := opendkim(t, dir, "s", "127.0.0.1")
	a := system.Start(t, system.Options{Set: []string{fmt.Sprintf("filters.smtpd_milters=[%q]", signer), fmt.Sprintf("filters.non_smtpd_milters=[%q]", signer)}})
	swaks(t, a, "submission", sent, "--tls", "--auth", "PLAIN", "--auth-user", a.Alice.Address, "--auth-password", a.Alice.Password, "--from", a.Alice.Address,
		"--to", a.Bob.Address, "--data", "From: "+a.Alice.Address+"\nTo: "+a.Bob.Address+"\nBcc: secret@far.example\nSubject: signed\n\nHello\n.dot\n")
	signed := last(t, a, a.Bob, "INBOX", 1)
	contains(t, signed, "DKIM-Signature: v=1; a=rsa-sha256;", "\tb=", "Date: ", "Message-ID: ")
	if strings.Contains(signed, "secret@") {
		t.Error("Bcc stayed")
	}

	verifier := opendkim(t, dir, "v", "192.0.2.1")
	b := system.Start(t, system.Options{Domain: "there.example", Set: []string{fmt.Sprintf("filters.smtpd_milters=[%q]", verifier)}})
	send := func(text string) {
		swaks(t, b, "smtp", sent, "--from", a.Alice.Address, "--to", b.Alice.Address, "--data", "@"+write(t, filepath.Join(t.TempDir(), "m"), text))
	}
	send(signed)
	contains(t, last(t, b, b.Alice, "INBOX", 1), "Authentication-Results: ", "dkim=pass", "header.d=here.example", "Subject: signed")
	send(strings.Replace(signed, "Hello", "Hallo", 1))
	contains(t, last(t, b, b.Alice, "INBOX", 2), "dkim=fail", "Hallo")
}
