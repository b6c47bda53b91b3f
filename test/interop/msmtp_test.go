package interop

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// msmtp's exit codes are those of sysexits(3).
const (
	msmtpUnavailable = 69 // TLS failed; or the server refused
	msmtpNoPermit    = 77 // no login
	msmtpDataErr     = 65 // a recipient was refused
)

// msmtp runs it with a person's settings as options; Debian's build knows SCRAM through GNU SASL.
func msmtp(t *testing.T, s *system.System, service string, code int, text string, args ...string) string {
	t.Helper()
	password := writeFile(t, "password", s.Alice.Password+"\n")
	base := []string{"--file=/dev/null", "--host=localhost", "--port=" + s.Port(t, service), "--tls", "--user=" + s.Alice.Address,
		"--passwordeval=cat " + password, "--timeout=60"}
	if service == "submissions" {
		base = append(base, "--tls-starttls=off")
	}
	return system.Run(t, system.Command{Name: "msmtp", Args: append(base, args...), Stdin: strings.NewReader(text), Code: code}).All()
}

func TestMsmtp(t *testing.T) {
	s := system.Start(t, system.Options{})
	trust, from := "--tls-trust-file="+s.CA, "--from="+s.Alice.Address
	letter := "From: Alice <" + s.Alice.Address + ">\nTo: " + s.Bob.Address + "\nBcc: " + s.Alice.Address + "\nSubject: by msmtp\n\nGrüße\n.\n..two\n.three\n"
	n := 0
	for _, service := range []string{"submission", "submissions"} {
		for _, mechanism := range []string{"scram-sha-256", "plain", "login", "on"} {
			out := msmtp(t, s, service, 0, letter, trust, "--auth="+mechanism, from, "--read-recipients", "--debug")
			n++
			verb := strings.ToUpper(mechanism)
			if mechanism == "on" {
				verb = "PLAIN" // what msmtp takes under TLS
			}
			contains(t, out, "--> AUTH "+verb, "<-- 235 2.7.0 ", "<-- 250 2.0.0 Ok: queued as ")
		}
	}
	s.Await(t, s.Bob, "INBOX", n)
	s.Await(t, s.Alice, "INBOX", n)
	for _, text := range system.Bodies(t, s.IMAP(t, s.Bob), "INBOX") {
		if got := body(string(text)); got != "Grüße\r\n.\r\n..two\r\n.three\r\n" {
			t.Errorf("arrived as %q", got)
		}
		contains(t, string(text), "with ESMTPSA", "Message-ID: <")
		if strings.Contains(string(text), "Bcc:") {
			t.Error("Bcc was shown to a recipient")
		}
	}

	info := msmtp(t, s, "submission", 0, "", trust, "--serverinfo")
	contains(t, info, "mail.here.example ESMTP Postrider", "(TLS1.3)", "CN=mail.here.example", "SIZE 52428800", "PIPELINING", "DSN", "SCRAM-SHA-256")
	fingerprint := field(t, info, "SHA256: ")
	msmtp(t, s, "submissions", 0, letter, "--tls-fingerprint="+fingerprint, "--auth=plain", from, s.Bob.Address)
	s.Await(t, s.Bob, "INBOX", n+1)

	contains(t, msmtp(t, s, "submission", msmtpUnavailable, letter, "--auth=plain", from, s.Bob.Address), "The certificate is NOT trusted")
	contains(t, msmtp(t, s, "submission", msmtpUnavailable, letter, "--tls-fingerprint="+strings.Repeat("00:", 31)+"00", "--auth=plain", from, s.Bob.Address), "fingerprint")
	for _, mechanism := range []string{"scram-sha-256", "plain", "login"} {
		out := msmtp(t, s, "submission", msmtpNoPermit, letter, trust, "--auth="+mechanism, "--passwordeval=echo wrong", from, s.Bob.Address)
		contains(t, out, "authentication failed")
	}
	contains(t, msmtp(t, s, "submission", msmtpDataErr, letter, trust, "--auth=plain", from, "nobody@here.example"), "550 5.1.1 ")
	if got := system.Count(t, s.IMAP(t, s.Bob), "INBOX"); got != n+1 {
		t.Errorf("%d messages after refusals, want %d", got, n+1)
	}
}

// field returns what follows a label, to the end of the line.
func field(t *testing.T, in, label string) string {
	t.Helper()
	_, after, found := strings.Cut(in, label)
	if !found {
		t.Fatalf("lacks %q:\n%s", label, in)
	}
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}
