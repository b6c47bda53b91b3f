package milter

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// The files of checks as administrators have them: by SMTP and by sendmail.
func TestChecks(t *testing.T) {
	dir := t.TempDir()
	head := write(t, filepath.Join(dir, "header_checks"), `
/^Subject: .*free money/		REJECT no spam here
/^X-Internal-/				IGNORE
/^Subject: (.*) \[list\]$/		REPLACE Subject: $1
/^X-Note: hold/				HOLD looks odd
/^To: .*copy/				BCC bob@here.example
`)
	parts := write(t, filepath.Join(dir, "mime_header_checks"), `/name=[^>]*\.(bat|exe)"?$/ REJECT attachment ".$1" is not taken`+"\n")
	lines := write(t, filepath.Join(dir, "body_checks"), "/^password: / REPLACE password: (removed)\n/^buy now/ REJECT 554 5.7.1 bought enough\n")
	s := system.Start(t, system.Options{Set: []string{fmt.Sprintf(`filters.header_checks=["regexp:%s"]`, head), fmt.Sprintf(`filters.mime_header_checks=["pcre:%s"]`, parts),
		fmt.Sprintf(`filters.body_checks=["pcre:%s"]`, lines)}})
	send := func(code int, data string) string {
		return swaks(t, s, "smtp", code, "--from", "a@far.example", "--to", s.Alice.Address, "--data", data)
	}
	contains(t, send(refused, "Subject: get\n free money\n\nx\n"), "<** 550 5.7.1 no spam here")
	contains(t, send(refused, "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/x;\n name=\"a.exe\"\n\nx\n--b--\n"),
		`<** 550 5.7.1 attachment ".exe" is not taken`)
	contains(t, send(refused, "Subject: x\n\nhello\nbuy now\n"), "<** 554 5.7.1 bought enough")
	send(sent, "From: a@far.example\nX-Internal-Host: secret\nSubject: news [list]\n\nhello\npassword: abc\nend\n")
	text := last(t, s, s.Alice, "INBOX", 1)
	contains(t, text, "\r\nFrom: a@far.example\r\nSubject: news\r\n\r\nhello\r\npassword: (removed)\r\nend\r\n")
	if strings.Contains(text, "secret") || strings.Contains(text, "abc") {
		t.Error(text)
	}
	send(sent, "To: copy\nSubject: two\n\nx\n")
	contains(t, last(t, s, s.Bob, "INBOX", 1), "Subject: two")
	send(sent, "X-Note: hold\nSubject: three\n\nx\n")
	out := system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"queue", "list", "--json", "--dir", s.Dir}}).Stdout
	contains(t, out, "looks odd")
	// sendmail's mail is looked at too.
	res := system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"sendmail", s.Alice.Address}, Env: []string{"POSTRIDER_DIR=" + s.Dir}, Stdin: strings.NewReader("Subject: free money\n\nx\n"), AnyCode: true})
	contains(t, res.All(), "no spam here")
}

// On the way out: what is sent is changed, what is stored is not.
func TestSMTPHeaderChecks(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "smtp_header_checks"), "/^Received: .*with ESMTPSA/ REPLACE Received: from a user of ours\n/^X-Internal:/ IGNORE\n")
	next := system.Start(t, system.Options{Domain: "there.example"})
	s := system.Start(t, system.Options{Set: []string{fmt.Sprintf(`filters.smtp_header_checks=["pcre:%s"]`, file), `mta.smart_host.host="127.0.0.1"`,
		"mta.smart_host.port=" + next.Port(t, "smtp"), `mta.smart_host.tls="none"`}})
	swaks(t, s, "submission", sent, "--tls", "--auth", "PLAIN", "--auth-user", s.Alice.Address, "--auth-password", s.Alice.Password, "--from", s.Alice.Address,
		"--to", next.Alice.Address+","+s.Bob.Address, "--header", "X-Internal: secret", "--body", "hello")
	away := last(t, next, next.Alice, "INBOX", 1)
	contains(t, away, "Received: from a user of ours\r\n", "hello")
	if strings.Contains(away, "X-Internal") || strings.Contains(away, "client.far.example") {
		t.Error(away)
	}
	contains(t, last(t, s, s.Bob, "INBOX", 1), "X-Internal: secret", "client.far.example")
}
