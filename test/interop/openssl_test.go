package interop

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

// TestOpenSSL connects to every port as an administrator would: the certificate has the host's name, the protocol is
// TLS 1.3 or 1.2, and nothing older.
func TestOpenSSL(t *testing.T) {
	s := system.Start(t, system.Options{})
	run := func(t *testing.T, code int, service string, args ...string) string {
		t.Helper()
		base := []string{"s_client", "-connect", "localhost:" + s.Port(t, service), "-CAfile", s.CA, "-verify_return_error", "-brief"}
		return system.Run(t, system.Command{Name: "openssl", Args: append(base, args...), Stdin: strings.NewReader(""), Code: code}).All()
	}
	for service, starttls := range map[string]string{"smtp": "smtp", "submission": "smtp", "submissions": "",
		"imap": "imap", "imaps": "", "pop3": "pop3", "pop3s": ""} {
		t.Run(service, func(t *testing.T) {
			var tls []string
			if starttls != "" {
				tls = []string{"-starttls", starttls}
			}
			for _, name := range []string{"localhost", s.Hostname} {
				args := append([]string{"-verify_hostname", name, "-servername", name}, tls...)
				contains(t, run(t, 0, service, args...), "Verification: OK", "Verified peername: "+name, "Protocol version: TLSv1.3")
			}
			contains(t, run(t, 0, service, append([]string{"-tls1_2"}, tls...)...), "Protocol version: TLSv1.2")
			contains(t, run(t, 1, service, append([]string{"-verify_hostname", "mail.far.example"}, tls...)...), "hostname mismatch")
			contains(t, run(t, 1, service, append([]string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, tls...)...), "alert protocol version")
		})
	}
}
