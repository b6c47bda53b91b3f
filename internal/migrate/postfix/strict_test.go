package postfix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNothingIsLostSilently: what would treat mail otherwise after the move is written as it was, or told.
func TestNothingIsLostSilently(t *testing.T) {
	const ports = "smtp inet n - n - - smtpd\nsubmission inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes\n"
	for _, c := range []struct {
		name, main, master string
		files              map[string]string
		table              string // what maps/transport must be
		config, report     string // what must stand there; "!" in front: must not
	}{
		{name: "a service on loopback before port 25's",
			main:   "smtpd_client_restrictions = reject_rbl_client bl.example\n",
			master: "127.0.0.1:2526 inet n - n - - smtpd -o smtpd_client_restrictions=\n" + ports,
			config: `smtpd_client_restrictions = ["reject_rbl_client bl.example"]`},
		{name: "a second submission before port 587's",
			main:   "smtpd_sender_restrictions = reject_sender_login_mismatch\n",
			master: "127.0.0.1:2587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_sender_restrictions=\n" + ports,
			config: "[access.submission]\n\n# For the sender.\n# From main.cf:1 smtpd_sender_restrictions\nsmtpd_sender_restrictions = [\"reject_sender_login_mismatch\"]"},
		{name: "passwords of other hosts than the relay", master: ports,
			main:   "relayhost = [relay.example]:587\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl\n",
			files:  map[string]string{"etc/postfix/sasl": "[relay.example]:587 u:p\n[10.0.0.1] v:q\n"},
			config: "smtp_sasl_password_maps = [\"hash:maps/sasl\"]"},
		{name: "one password", master: ports,
			main:   "relayhost = [relay.example]:587\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl\n",
			files:  map[string]string{"etc/postfix/sasl": "[relay.example]:587 u:p\n"},
			config: "!smtp_sasl_password_maps ="},
		{name: "no domain of virtual aliases", master: ports,
			main:   "virtual_alias_maps = inline:{a@b.example=c@d.example, b.example=x}\nvirtual_alias_domains =\n",
			config: `virtual_alias_domains = ["none.invalid"]`},
		{name: "the host's own mail went to the relay", master: ports, main: "myhostname = web.example\nmydestination =\nrelayhost = [r.example]\n",
			report: "mail for web.example itself went to the relay, and is local here"},
		{name: "no AUTH on port 25, so nothing there compares senders with logins", master: ports,
			main:   "smtpd_sender_restrictions = reject_sender_login_mismatch, reject_unknown_sender_domain\nsmtpd_sender_login_maps = static:joe@x.example\n",
			config: `smtpd_sender_restrictions = ["reject_unknown_sender_domain"]`, report: "!no restriction compares senders"},
		{name: "senders of the tables are not refused for being nobody's", master: ports,
			main:   "smtpd_sender_restrictions = reject_sender_login_mismatch\nsmtpd_sender_login_maps = static:joe@x.example\n",
			config: "require_sender_ownership = false"},
		{name: "accounts keep to their addresses where submission did not ask", master: ports + " -o smtpd_sender_restrictions=\n",
			main:   "smtpd_sender_restrictions = reject_sender_login_mismatch\nsmtpd_sender_login_maps = static:joe@x.example\n",
			config: "!require_sender_ownership = false"},
		{name: "a socket in a table of transports", master: ports + "lmtp unix - - n - - lmtp\n", main: "transport_maps = hash:/etc/postfix/transport\n",
			files:  map[string]string{"etc/postfix/transport": "a.example lmtp:unix:private/dovecot\n"},
			report: "!unsupported: tables", table: "a.example lmtp:unix:/var/spool/postfix/private/dovecot\n"},
		{name: "programs that a database of transports may name", master: ports + "dovecot unix - n n - - pipe argv=/deliver\n",
			main: "transport_maps = proxy:mysql:/etc/postfix/t.cf\n", files: map[string]string{"etc/postfix/t.cf": "query = x\n"},
			report: "must not answer with transports that run programs (dovecot)"},
		{name: "networks in a table of addresses", master: ports, main: "mynetworks = hash:/etc/postfix/nets\n",
			files:  map[string]string{"etc/postfix/nets": "10.0.0.0/8 OK\n192.0.2.1 OK\n"},
			config: "mynetworks = [\"192.0.2.1/32\"]", report: "10.0.0.0/8 never was a network there"},
		{name: "clients of a table might relay", master: ports,
			main:   "smtpd_recipient_restrictions = check_client_access inline:{192.0.2.1=OK}, reject_unauth_destination\n",
			config: "smtpd_relay_restrictions = []"},
		{name: "clients of a table might not", master: ports,
			main:   "compatibility_level = 3.6\nsmtpd_recipient_restrictions = check_client_access inline:{192.0.2.1=OK}, reject_unauth_destination\n",
			config: "!smtpd_relay_restrictions"},
		{name: "TLS to other hosts than the relay", master: ports, main: "relayhost = [r.example]\nsmtp_tls_security_level = secure\n",
			config: "tls = \"secure\""},
		{name: "TLS to other hosts, in older words", master: ports, main: "relayhost = [r.example]\nsmtp_enforce_tls = yes\n",
			config: "tls = \"encrypt\""},
		{name: ".forward", master: ports, main: "myhostname = mail.example\nmydestination = mail.example\n",
			files: map[string]string{"etc/passwd": "joe:x:1000:1000::/home/joe:/bin/sh\nann:x:1001:1001::/home/ann:/bin/sh\n", "home/joe/.forward": "joe@else.example\n",
				"home/ann/mail": ""},
			report: "/home/joe/.forward: unsupported: mail for joe is not sent on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "etc/postfix")
			files := map[string]string{"etc/postfix/main.cf": c.main, "etc/postfix/master.cf": c.master}
			for name, text := range c.files {
				files[name] = text
			}
			for name, text := range files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			o, err := Read(dir, "host.example.org")
			if err != nil {
				t.Fatal(err)
			}
			r, err := Move(o, Options{Hostname: "host.example.org", TableTypes: types})
			if err != nil {
				t.Fatal(err)
			}
			var report strings.Builder
			r.WriteReport(&report)
			if got := string(r.Files["maps/transport"]); c.table != "" && got != c.table {
				t.Errorf("the table is %q", got)
			}
			for want, in := range map[string]string{c.config: r.Config, c.report: report.String()} {
				text, not := strings.CutPrefix(want, "!")
				if strings.Contains(in, text) == not && want != "" {
					t.Errorf("%q is missing, or should not be there:\n%s", want, in)
				}
			}
		})
	}
}
