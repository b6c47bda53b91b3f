package node

import (
	"strings"
	"testing"
)

// A reload holds for connections that come later; those that are open go on, with the settings they began with.
func TestReloadKeepsOpenConnections(t *testing.T) {
	dir := t.TempDir()
	n, _ := start(t, testConfig(t, dir))
	addUser(t, n, "alice", "pw")
	old := dialTalk(t, n, "smtp")
	old.until("220 mail.here.example")
	old.say("EHLO client.example", "250-SIZE 52428800")
	old.until("250 ")
	old.say("MAIL FROM:<a@far.example>", "250")
	reader := login(t, n, "alice@here.example", "pw")

	restart, err := n.Reload(testConfig(t, dir, `hostname = "new.here.example"`, `smtp.max_message_size = "1MiB"`))
	if err != nil || len(restart) != 0 {
		t.Fatal(restart, err)
	}
	fresh := dialTalk(t, n, "smtp")
	fresh.until("220 new.here.example")
	fresh.say("EHLO client.example", "250-SIZE 1048576")
	fresh.until("250 ")

	old.say("RCPT TO:<alice@here.example>", "250")
	old.say("DATA", "354")
	old.say("Subject: begun before\r\n\r\n.", "250")
	arrived(t, reader, "INBOX", 1)
	mail := dialTalk(t, n, "imap")
	if got := mail.until("* OK"); !strings.Contains(got, "new.here.example") {
		t.Errorf("greeting of IMAP: %s", got)
	}
}

// A configuration that cannot be put in force changes nothing at all, whatever else it holds.
func TestReloadIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	n, _ := start(t, testConfig(t, dir))
	before := n.Config()
	for name, sets := range map[string][]string{
		"certificate missing": {`tls.cert = "/nonexistent/cert.pem"`, `tls.key = "/nonexistent/key.pem"`},
		"needs a restart":     {`data_dir = "` + t.TempDir() + `"`},
		"another listener":    {`listeners.smtp.addresses = ["127.0.0.2:0"]`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.Reload(testConfig(t, dir, append(sets, `hostname = "new.here.example"`, `smtp.max_message_size = "1MiB"`)...))
			if err == nil {
				t.Error("taken")
			}
			if n.Config() != before {
				t.Error("another configuration is shown")
			}
			k := dialTalk(t, n, "smtp")
			k.until("220 mail.here.example")
			k.say("EHLO client.example", "250-SIZE 52428800")
		})
	}
}

// The error of a reload that would need a restart names the keys.
func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	dir := t.TempDir()
	n, _ := start(t, testConfig(t, dir))
	restart, err := n.Reload(testConfig(t, dir, `listeners.lmtp.enabled = false`, `smtp.max_recipients = 200`))
	if err == nil || !strings.Contains(err.Error(), "listeners.lmtp.enabled") || len(restart) != 1 || restart[0] != "listeners.lmtp.enabled" {
		t.Errorf("%v %v", restart, err)
	}
	if n.Config().SMTP.MaxRecipients == 200 {
		t.Error("half of it is in force")
	}
}
