package node

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/test/needs"
)

// elsewhere starts a second system, there.example with bob, and a DNS that knows it; sets are what the first one needs to
// reach both. down.example is a domain whose host is not there.
func elsewhere(t *testing.T, more ...string) (there *Node, sets []string) {
	t.Helper()
	there, _ = start(t, testConfig(t, t.TempDir(), append(more, `domain = "there.example"`, `hostname = "mx.there.example"`)...))
	if _, err := there.addAccount(t.Context(), directory.NewAccount{Address: address.Address{Local: "bob", Domain: "there.example"}, Password: "pw"}); err != nil {
		t.Fatal(err)
	}
	resolver := dnstest.New(t, "there.example. 60 IN MX 10 mx.there.example.\nmx.there.example. 60 IN A 127.0.0.1\n"+
		"down.example. 60 IN MX 10 mx.down.example.\nmx.down.example. 60 IN A 127.0.0.77\n").Listen(t)
	return there, []string{fmt.Sprintf("dns.resolvers = [%q]", resolver), fmt.Sprintf("mta.port = %d", there.Addresses()["smtp"].Port()),
		`mta.retry = ["1s"]`}
}

// An alias may lead elsewhere: the mail goes there under its own sender, and the log names both addresses.
func TestAliasToElsewhere(t *testing.T) {
	there, sets := elsewhere(t)
	var log logBuffer
	here, _ := startLogging(t, testConfig(t, t.TempDir(), sets...), &log)
	addSilentUser(t, here, "alice")
	both := []address.Address{mustAddress(t, "alice@here.example"), mustAddress(t, "bob@there.example")}
	if _, err := here.directory.AddAlias(t.Context(), mustAddress(t, "friends@here.example"), both); err != nil {
		t.Fatal(err)
	}
	if err := send(t, here, "friends@here.example", "Subject: to both\r\n\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	mailboxes(t, here, 1, "alice")
	bob := login(t, there, "bob@there.example", "pw")
	arrived(t, bob, "INBOX", 1)
	if got := string(bodyOf(t, bob, 1)); !strings.HasPrefix(got, "Return-Path: <sender@far.example>\r\n") {
		t.Errorf("%s", got)
	}
	eventually(t, "the delivery is in the log", func() bool {
		return regexp.MustCompile(`to=bob@there.example orig_to=friends@here.example transport=smtp relay=\S*mx.there.example\[127\.0\.0\.1\]:\d+ .*status=sent`).MatchString(log.String())
	})
}

// All mail leaves by the smart host, under TLS and with a password. A wrong one defers, and a reload mends it.
func TestSmartHostWithPassword(t *testing.T) {
	there, sets := elsewhere(t, "submission.require_sender_ownership = false")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(there.Addresses()["submission"].String())
	if err != nil {
		t.Fatal(err)
	}
	sets = append(sets, `mta.smart_host.host = "[127.0.0.1]"`, "mta.smart_host.port = "+port, `mta.smart_host.tls = "encrypt"`,
		`mta.smart_host.user = "bob@there.example"`, fmt.Sprintf("mta.smart_host.password_file = %q", secret))
	var log logBuffer
	c := testConfig(t, t.TempDir(), sets...)
	here, _ := startLogging(t, c, &log)
	addUser(t, here, "alice", "pw")
	submitAlice(t, here, "bob@there.example", "Subject: by the relay\r\n\r\nx\r\n")
	eventually(t, "the mail waits for the password", func() bool {
		return lineHas(log.String(), "to=bob@there.example", "status=deferred", "535 5.7.8")
	})
	if err := os.WriteFile(secret, []byte("pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Reload(c); err != nil {
		t.Fatal(err)
	}
	bob := login(t, there, "bob@there.example", "pw")
	arrived(t, bob, "INBOX", 1)
	if got := string(bodyOf(t, bob, 1)); !strings.Contains(got, "by mx.there.example with ") || !strings.Contains(got, "ESMTPSA id") && !strings.Contains(got, "UTF8SMTPSA id") {
		t.Errorf("%s", got)
	}
}

// What cannot be delivered for now waits; when its time is over it comes back. A reload may shorten the time.
func TestDeferredMailExpires(t *testing.T) {
	_, sets := elsewhere(t)
	var log logBuffer
	dir := t.TempDir()
	here, _ := startLogging(t, testConfig(t, dir, sets...), &log)
	addUser(t, here, "alice", "pw")
	submitAlice(t, here, "x@down.example", "Subject: too late\r\n\r\nx\r\n")
	eventually(t, "the mail is deferred", func() bool { return lineHas(log.String(), "to=x@down.example", "status=deferred", "refused") })
	if _, err := here.Reload(testConfig(t, dir, append(sets, `mta.expire_after = "0s"`)...)); err != nil {
		t.Fatal(err)
	}
	alice := login(t, here, "alice@here.example", "pw")
	arrived(t, alice, "INBOX", 1)
	got := string(bodyOf(t, alice, 1))
	for _, want := range []string{"Return-Path: <>", "Final-Recipient: rfc822; x@down.example", "Status: 5.4.7", "refused"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if !lineHas(log.String(), "to=x@down.example", "status=expired", "dsn=5.4.7") {
		t.Errorf("log: %s", log.String())
	}
}

func lineHas(log string, texts ...string) bool {
	for line := range strings.Lines(log) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			return true
		}
	}
	return false
}

// Sent, deferred and bounced are one line each in every format; and pflogsumm adds them up.
func TestLogOfMailThatLeaves(t *testing.T) {
	_, sets := elsewhere(t)
	for format, wants := range map[string][]string{
		"text": {
			`msg=delivery .*to=bob@there\.example transport=smtp relay=mx\.there\.example\[127\.0\.0\.1\]:\d+ .*dsn=2\.0\.0 status=sent reply="250 2\.0\.0 Ok`,
			`msg=delivery .*to=x@down\.example transport=smtp .*dsn=4\.4\.1 status=deferred class=network reply=".*refused`,
			`msg=delivery .*to=nobody@there\.example transport=smtp relay=mx\.there\.example\[127\.0\.0\.1\]:\d+ .*dsn=5\.1\.1 status=bounced class=unknown reply="550 5\.1\.1`,
			`msg="queued bounce" queue_id=\w+ cause=\w+`,
		},
		"json": {`"msg":"delivery".*"to":"bob@there\.example".*"status":"sent"`, `"to":"x@down\.example".*"status":"deferred"`,
			`"to":"nobody@there\.example".*"status":"bounced"`},
		"maillog": {
			`postfix/smtp\[\d+\]: \w+: to=<bob@there\.example>, relay=mx\.there\.example\[127\.0\.0\.1\]:\d+, delay=[\d.]+, delays=[\d./]+, dsn=2\.0\.0, status=sent \(`,
			`postfix/smtp\[\d+\]: \w+: to=<x@down\.example>, relay=none, .*dsn=4\.4\.1, status=deferred \(`,
			`postfix/smtp\[\d+\]: \w+: to=<nobody@there\.example>, relay=mx\.there\.example\[127\.0\.0\.1\]:\d+, .*dsn=5\.1\.1, status=bounced \(`,
			`postfix/bounce\[\d+\]: \w+: sender non-delivery notification: \w+`,
		},
	} {
		t.Run(format, func(t *testing.T) {
			var log logBuffer
			here, stop := startLogging(t, testConfig(t, t.TempDir(), append(sets, `mta.retry = ["1h"]`, fmt.Sprintf("log.format = %q", format))...), &log)
			addUser(t, here, "alice", "pw")
			for _, to := range []string{"bob@there.example", "x@down.example", "nobody@there.example"} {
				submitAlice(t, here, to, "Subject: out\r\n\r\nx\r\n")
			}
			mailboxes(t, here, 1, "alice") // the bounce
			for _, want := range wants {
				eventually(t, want, func() bool { return regexp.MustCompile(`(?m)^.*` + want).MatchString(log.String()) })
			}
			stop()
			if format == "maillog" {
				summedUp(t, log.String())
			}
		})
	}
}

// summedUp has pflogsumm count the log of TestLogOfMailThatLeaves.
func summedUp(t *testing.T, log string) {
	path := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(needs.Program(t, "pflogsumm"), path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for what, want := range map[string]string{"received": "3", "delivered": "2", "deferred": "1", "bounced": "1"} {
		if m := regexp.MustCompile(`(?m)^ +(\d+) +` + what + `\b`).FindSubmatch(out); m == nil || string(m[1]) != want {
			t.Errorf("pflogsumm: %s: %q, want %s\n%s\n%s", what, m, want, log, out)
		}
	}
}
