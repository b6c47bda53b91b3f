package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// imapsArgs are curl's for a URL below imaps://. Verified against the system's authority only.
func imapsArgs(s *system.System, a system.Account, path string) []string {
	_, port, _ := strings.Cut(s.Listeners["imaps"], ":")
	return []string{"--cacert", s.CA, "--max-time", "60", "--user", a.Address + ":" + a.Password, "imaps://localhost:" + port + "/" + path}
}

// curlFetch reads a message by its sequence number.
func curlFetch(t *testing.T, s *system.System, a system.Account, mailbox string, seq int) string {
	t.Helper()
	return curl(t, 0, append(imapsArgs(s, a, fmt.Sprintf("%s;MAILINDEX=%d", mailbox, seq)), "--silent", "--show-error")...)
}

// curlIMAP sends one command in a mailbox and returns the server's lines. curl prints only untagged answers.
func curlIMAP(t *testing.T, s *system.System, mailbox, command string) string {
	t.Helper()
	return curl(t, 0, append(imapsArgs(s, s.Alice, mailbox), "--silent", "--show-error", "-X", command)...)
}

func curl(t *testing.T, code int, args ...string) string {
	t.Helper()
	r := system.Run(t, system.Command{Name: "curl", Args: args, Code: code})
	return r.Stdout
}

const curlMessage = "From: Far <far@far.example>\r\nTo: alice@here.example\r\nSubject: by curl\r\nMessage-ID: <c1@far.example>\r\n\r\n" +
	".a line with a dot\r\n..two\r\nGrüße\r\n"

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCurlSMTP(t *testing.T) {
	s := system.Start(t, system.Options{})
	file := writeFile(t, "m.eml", curlMessage)
	own := writeFile(t, "own.eml", strings.ReplaceAll(curlMessage, "far@far.example", s.Bob.Address)) // submission checks From
	send := func(code int, url, from, to string, more ...string) {
		t.Helper()
		text := file
		if from == s.Bob.Address {
			text = own
		}
		args := []string{"--silent", "--show-error", "--max-time", "60", "--url", url, "--mail-from", from, "--mail-rcpt", to, "--upload-file", text}
		curl(t, code, append(args, more...)...)
	}
	clear, submission, submissions := "smtp://localhost:"+s.Port(t, "smtp"), "smtp://localhost:"+s.Port(t, "submission"), "smtps://localhost:"+s.Port(t, "submissions")
	send(0, clear, "far@far.example", s.Alice.Address)
	send(0, clear, "far@far.example", s.Alice.Address, "--ssl-reqd", "--cacert", s.CA)
	send(0, submission, s.Bob.Address, s.Alice.Address, "--ssl-reqd", "--cacert", s.CA, "--user", s.Bob.Address+":"+s.Bob.Password)
	send(0, submissions, s.Bob.Address, s.Alice.Address, "--cacert", s.CA, "--user", s.Bob.Address+":"+s.Bob.Password)
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		send(0, submissions, s.Bob.Address, s.Alice.Address, "--cacert", s.CA, "--user", s.Bob.Address+":"+s.Bob.Password, "--login-options", "AUTH="+mechanism)
	}
	send(0, submissions, s.Bob.Address, s.Alice.Address, "--cacert", s.CA, "--user", s.Bob.Address+":"+s.Bob.Password, "--mail-auth", "<>")
	s.Await(t, s.Alice, "INBOX", 7)
	for i := 1; i <= 7; i++ {
		if got := curlFetch(t, s, s.Alice, "INBOX", i); !strings.HasSuffix(got, "\r\n\r\n.a line with a dot\r\n..two\r\nGrüße\r\n") {
			t.Errorf("message %d: %q", i, got)
		}
	}
	// curl's codes: 55 send error (a recipient was refused), 60 the certificate is not known, 67 login denied.
	send(55, clear, "far@far.example", "nobody@here.example")
	send(60, submissions, s.Bob.Address, s.Alice.Address, "--user", s.Bob.Address+":"+s.Bob.Password)
	send(67, submissions, s.Bob.Address, s.Alice.Address, "--cacert", s.CA, "--user", s.Bob.Address+":wrong")
}

func TestCurlIMAP(t *testing.T) {
	s := system.Start(t, system.Options{})
	file := writeFile(t, "m.eml", curlMessage)
	for range 3 {
		curl(t, 0, append(imapsArgs(s, s.Alice, "INBOX"), "--silent", "--show-error", "--upload-file", file)...) // APPEND
	}
	if got := curlFetch(t, s, s.Alice, "INBOX", 1); got != curlMessage {
		t.Errorf("what was appended comes back as %q", got)
	}
	list := curlIMAP(t, s, "", "LIST \"\" *")
	for _, special := range []string{"\\Drafts", "\\Sent", "\\Archive", "\\Junk", "\\Trash"} {
		contains(t, list, special)
	}
	contains(t, list, `"/" INBOX`)
	contains(t, curlIMAP(t, s, "INBOX", "SEARCH SUBJECT curl SEEN"), "* SEARCH 1 2 3") // curl appends with \\Seen
	contains(t, curlIMAP(t, s, "INBOX", "SEARCH OR SUBJECT nothing UNSEEN"), "* SEARCH\r\n")
	contains(t, curlIMAP(t, s, "INBOX", `STORE 2 +FLAGS (\Flagged $Label)`), "* 2 FETCH (FLAGS (", `\Flagged`, "$Label")
	contains(t, curlIMAP(t, s, "INBOX", "FETCH 1:3 (UID FLAGS RFC822.SIZE)"), "* 1 FETCH (", "* 3 FETCH (", fmt.Sprintf("RFC822.SIZE %d", len(curlMessage)))
	contains(t, curlIMAP(t, s, "INBOX", "SEARCH FLAGGED KEYWORD $Label"), "* SEARCH 2")
	contains(t, curlIMAP(t, s, "INBOX", "EXAMINE INBOX"), "* 3 EXISTS", "[PERMANENTFLAGS ()]")
	contains(t, curlIMAP(t, s, "", "STATUS INBOX (MESSAGES UIDNEXT UNSEEN)"), "* STATUS INBOX (", "MESSAGES 3", "UIDNEXT 4")
	contains(t, curl(t, 0, append(imapsArgs(s, s.Alice, "INBOX;UID=2;SECTION=HEADER.FIELDS%20(SUBJECT)"), "--silent")...), "Subject: by curl\r\n\r\n")
	if got := curl(t, 0, append(imapsArgs(s, s.Alice, "INBOX?SUBJECT%20curl"), "--silent")...); !strings.Contains(got, "* SEARCH 1 2 3") {
		t.Errorf("a search URL: %q", got)
	}
	curlIMAP(t, s, "INBOX", `STORE 1 +FLAGS.SILENT \Deleted`)
	contains(t, curlIMAP(t, s, "INBOX", "EXPUNGE"), "* 1 EXPUNGE")
	curlIMAP(t, s, "", `CREATE "Entw&APw-rfe alt"`)
	contains(t, curlIMAP(t, s, "", `LIST "" Entw*`), `"Entw&APw-rfe alt"`)
	curlIMAP(t, s, "", "CREATE Projekte/2026")
	curlIMAP(t, s, "INBOX", "COPY 1:2 Projekte/2026")
	contains(t, curlIMAP(t, s, "", "STATUS Projekte/2026 (MESSAGES)"), "MESSAGES 2")

	// In clear only with STARTTLS: AUTH and LOGIN of any kind are refused before it (curl's code 67, login denied).
	clear := "imap://localhost:" + s.Port(t, "imap") + "/INBOX;MAILINDEX=1"
	user := s.Alice.Address + ":" + s.Alice.Password
	if got := curl(t, 0, "--silent", "--ssl-reqd", "--cacert", s.CA, "--user", user, clear); got != curlMessage {
		t.Errorf("over STARTTLS: %q", got)
	}
	curl(t, 67, "--silent", "--user", user, clear)
	curl(t, 67, "--silent", "--ssl-reqd", "--cacert", s.CA, "--user", s.Alice.Address+":wrong", clear)
	curl(t, 67, "--silent", "--ssl-reqd", "--cacert", s.CA, "--user", "nobody@here.example:wrong", clear)
	curl(t, 67, append(imapsArgs(s, s.Alice, "NoSuchFolder;MAILINDEX=1"), "--silent")...) // so it calls a SELECT that fails
}

func TestCurlPOP3(t *testing.T) {
	s := system.Start(t, system.Options{})
	samples(t, s, 3)
	pop := func(code int, path string, more ...string) string {
		t.Helper()
		args := []string{"--silent", "--show-error", "--max-time", "60", "--cacert", s.CA, "--user", s.Alice.Address + ":" + s.Alice.Password}
		return curl(t, code, append(append(args, more...), "pop3s://localhost:"+s.Port(t, "pop3s")+"/"+path)...)
	}
	size := len(sample(0))
	if got, want := pop(0, ""), fmt.Sprintf("1 %[1]d\r\n2 %[1]d\r\n3 %[1]d\r\n", size); got != want {
		t.Errorf("LIST: %q, want %q", got, want)
	}
	if got := pop(0, "2"); got != sample(1) {
		t.Errorf("RETR 2: %q", got)
	}
	same(t, "after RETR of the second", flagsOf(t, s, s.Alice, "INBOX"), "", `\Seen`, "")
	header, _, _ := strings.Cut(sample(0), "\r\n\r\n")
	if got := pop(0, "", "--request", "TOP 1 1"); got != header+"\r\n\r\n.one dot\r\n" {
		t.Errorf("TOP 1 1: %q", got)
	}
	ids := strings.Fields(pop(0, "", "--request", "UIDL"))
	if len(ids) != 6 || ids[1] == ids[3] || ids[3] == ids[5] {
		t.Errorf("UIDL: %q", ids)
	}
	pop(0, "3", "--request", "DELE", "--list-only") // a deletion holds when curl says QUIT
	s.Await(t, s.Alice, "INBOX", 2)
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		pop(0, "", "--login-options", "AUTH="+mechanism)
	}
	// In clear only with STLS (67 is login denied).
	clear, user := "pop3://localhost:"+s.Port(t, "pop3")+"/1", s.Alice.Address+":"+s.Alice.Password
	if got := curl(t, 0, "--silent", "--ssl-reqd", "--cacert", s.CA, "--user", user, clear); got != sample(0) {
		t.Errorf("over STLS: %q", got)
	}
	curl(t, 67, "--silent", "--user", user, clear)
	curl(t, 67, "--silent", "--ssl-reqd", "--cacert", s.CA, "--user", s.Alice.Address+":wrong", clear)
	pop(8, "9")
}
