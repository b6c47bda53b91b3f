package node

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/needs"
)

// day is a day in the life of a small system, told in its log.
func day(t *testing.T, format string) string {
	t.Helper()
	var log logBuffer
	n, stop := startLogging(t, testConfig(t, t.TempDir(), `log.format = "`+format+`"`), &log)
	addUser(t, n, "alice", "secret word")
	text := "Subject: hello\r\nMessage-ID: <1@far.example>\r\n\r\nhello\r\n"
	if err := send(t, n, "alice@here.example", text); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"nobody@here.example", "x@elsewhere.example"} {
		if err := send(t, n, to, text); err == nil {
			t.Fatalf("%s is taken", to)
		}
	}
	alice := submission{service: "submission", user: "alice@here.example", password: "secret word"}
	if err := submit(t, n, alice, "alice@here.example", "alice@here.example", text); err != nil {
		t.Fatal(err)
	}
	alice.service, alice.password = "submissions", "wrong"
	if err := submit(t, n, alice, "alice@here.example", "alice@here.example", text); err == nil { // SCRAM-SHA-256
		t.Fatal("a wrong password is taken")
	}
	k := dialTalk(t, n, "submissions").secure()
	k.until("220")
	k.say("EHLO thief", "250 ")
	k.say("AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBndWVzcw==", "535 5.7.8")
	k.say("QUIT", "221")

	c := login(t, n, "alice@here.example", "secret word")
	arrived(t, c, "INBOX", 2)
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	m := dialTalk(t, n, "imaps").secure()
	m.until("* OK")
	m.say("a LOGIN alice@here.example guess", "a NO")
	m.say("b LOGOUT", "b OK")
	p := dialTalk(t, n, "pop3s").secure()
	p.until("+OK")
	p.say("USER alice@here.example", "+OK")
	p.say("PASS guess", "-ERR [AUTH]")
	p.say("AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQgd29yZA==", "+OK 2 messages")
	p.say("RETR 2", "+OK")
	p.message()
	p.say("DELE 1", "+OK")
	p.say("QUIT", "+OK")
	eventually(t, "all sessions are told of", func() bool { return n.services.imap.Connections()+n.services.pop3.Connections() == 0 })
	stop()
	return log.String()
}

// Whatever the format, each outcome is one line, with the client's address where there is a client.
func TestLogOfASession(t *testing.T) {
	for format, wants := range map[string][]string{
		"text": {
			`msg=accepted queue_id=\w+ service=smtp session=smtp-\w+ client=127\.0\.0\.1 .*from=sender@far\.example message_id=1@far\.example .*nrcpt=1`,
			`msg=accepted queue_id=\w+ service=submission session=submission-\w+ client=127\.0\.0\.1 name=localhost tls="TLSv1\.3 \w+" .*account=alice@here\.example mech=SCRAM-SHA-256`,
			`msg=delivery queue_id=\w+ to=alice@here\.example transport=mailbox .*dsn=2\.\d\.\d status=sent`,
			`msg=rejected .*client=127\.0\.0\.1 .*command=RCPT .*to=nobody@here\.example reason=recipient code=550 dsn=5\.1\.1`,
			`msg=rejected .*client=127\.0\.0\.1 .*to=x@elsewhere\.example reason=relay code=554 dsn=5\.7\.1`,
			`level=WARN msg="authentication failed" service=submissions session=submissions-\w+ client=127\.0\.0\.1 .*account=alice@here\.example mech=SCRAM-SHA-256`,
			`level=WARN msg="authentication failed" service=submissions session=submissions-\w+ client=127\.0\.0\.1 .*account=alice@here\.example mech=PLAIN`,
			`level=WARN msg="authentication failed" service=imaps session=imaps-\w+ client=127\.0\.0\.1 .*account=alice@here\.example mech=PLAIN`,
			`msg=login service=submission .*client=127\.0\.0\.1 .*account=alice@here\.example mech=SCRAM-SHA-256`,
			`msg=login service=imaps .*client=127\.0\.0\.1 tls="TLSv1\.3 \w+" account=alice@here\.example mech=PLAIN`,
			`msg=logout service=imaps .*client=127\.0\.0\.1 .*account=alice@here\.example duration=[\d.]+ in=\d+ out=\d+ reason="logged out"`,
			`level=WARN msg="authentication failed" service=pop3s session=pop3s-\w+ client=127\.0\.0\.1 .*account=alice@here\.example mech=PLAIN`,
			`msg=logout service=pop3s .*account=alice@here\.example duration=[\d.]+ in=\d+ out=\d+ messages=2 size=\d+ top=0 retr=1 del=1 reason="logged out"`,
		},
		"json": {
			`"msg":"accepted".*"client":"127\.0\.0\.1".*"from":"sender@far\.example"`,
			`"msg":"delivery".*"to":"alice@here\.example".*"status":"sent"`,
			`"msg":"rejected".*"client":"127\.0\.0\.1".*"reason":"relay"`,
			`"msg":"authentication failed".*"service":"imaps".*"client":"127\.0\.0\.1".*"account":"alice@here\.example"`,
			`"msg":"login".*"service":"imaps".*"client":"127\.0\.0\.1"`,
			`"msg":"logout".*"service":"imaps".*"client":"127\.0\.0\.1"`,
		},
		"maillog": {
			`postfix/smtpd\[\d+\]: \w+: client=localhost\[127\.0\.0\.1\]`,
			`postfix/submission/smtpd\[\d+\]: \w+: client=localhost\[127\.0\.0\.1\], sasl_method=SCRAM-SHA-256, sasl_username=alice@here\.example`,
			`postfix/qmgr\[\d+\]: \w+: from=<sender@far\.example>, size=\d+, nrcpt=1 \(queue active\)`,
			`postfix/virtual\[\d+\]: \w+: to=<alice@here\.example>, relay=local, delay=[\d.]+, delays=\S+, dsn=2\.\d\.\d, status=sent`,
			`postfix/smtps/smtpd\[\d+\]: warning: unknown\[127\.0\.0\.1\]: SASL PLAIN authentication failed: .*sasl_username=alice@here\.example`,
			`dovecot\[\d+\]: imap-login: Login: user=<alice@here\.example>, method=PLAIN, rip=127\.0\.0\.1, lip=127\.0\.0\.1, TLS`,
			`dovecot\[\d+\]: imap-login: Disconnected \(auth failed, 1 attempts\): user=<alice@here\.example>, method=PLAIN, rip=127\.0\.0\.1`,
			`dovecot\[\d+\]: imap\(alice@here\.example\)<\d+><[\w-]+>: Disconnected: logged out in=\d+ out=\d+`,
			`dovecot\[\d+\]: pop3-login: Disconnected \(auth failed, 1 attempts\): user=<alice@here\.example>, method=PLAIN, rip=127\.0\.0\.1`,
			`dovecot\[\d+\]: pop3-login: Login: user=<alice@here\.example>, method=PLAIN, rip=127\.0\.0\.1, lip=127\.0\.0\.1, TLS`,
			`dovecot\[\d+\]: pop3\(alice@here\.example\)<\d+><[\w-]+>: Disconnected: logged out top=0/0, retr=1/\d+, del=1/2, size=\d+ in=\d+ out=\d+`,
		},
	} {
		t.Run(format, func(t *testing.T) {
			log := day(t, format)
			for _, want := range wants {
				if n := len(regexp.MustCompile(`(?m)^.*`+want).FindAllString(log, -1)); n == 0 {
					t.Errorf("no line with %s", want)
				}
			}
			if t.Failed() {
				t.Logf("%s", log)
			}
		})
	}
}

// The tools that operators have read the log of a real session: pflogsumm counts right, fail2ban blames the client once
// for each thing that deserves it.
func TestLogToolsReadASession(t *testing.T) {
	needs.Quick(t, "fail2ban's Python starts four times")
	pflogsumm, fail2ban := needs.Program(t, "pflogsumm"), needs.Program(t, "fail2ban-regex")
	log := day(t, "maillog")
	path := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(pflogsumm, path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for what, want := range map[string]string{"received": "2", "delivered": "2", "deferred": "0", "bounced": "0", "rejected": "2", "senders": "2", "recipients": "1"} {
		if m := regexp.MustCompile(`(?m)^ +(\d+) +` + what + `\b`).FindSubmatch(out); m == nil || string(m[1]) != want {
			t.Errorf("pflogsumm: %s: %q, want %s", what, m, want)
		}
	}
	for filter, want := range map[string]int{"postfix": 2, "postfix[mode=auth]": 1, "dovecot": 3, "postfix[mode=errors]": 0} {
		out, _ := exec.Command(fail2ban, "-o", "<ip>", path, filter).CombinedOutput() // exits 1 when nothing matches
		if got := strings.Fields(string(out)); len(got) != want || strings.Count(string(out), "127.0.0.1") != want {
			t.Errorf("fail2ban %s: %q, want %d", filter, got, want)
		}
	}
	if t.Failed() {
		t.Logf("%s\n%s", log, out)
	}
}
