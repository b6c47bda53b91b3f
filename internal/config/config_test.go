package config

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestEmptyFileIsValid(t *testing.T) {
	c, err := Parse("empty", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Hostname == "" || c.Domain != c.Hostname || c.MTA.HeloName != c.Hostname {
		t.Errorf("names: %q %q %q", c.Hostname, c.Domain, c.MTA.HeloName)
	}
	if c.RunDir != "/run/postrider" || c.DataDir != "/var/lib/postrider" {
		t.Errorf("folders: %q %q", c.DataDir, c.RunDir)
	}
	if len(c.Submission.TrustedNetworks) != 0 || !c.Submission.RequireSenderOwnership {
		t.Error("an empty file must trust nobody")
	}
	if c.Listeners.LMTP.Enabled {
		t.Error("LMTP has no authentication and must be off by default")
	}
}

func TestFileThenSets(t *testing.T) {
	text := `
hostname = "MX1.Example.test."
data_dir = "/tmp/x"
[smtp]
max_message_size = "10MiB"
command_timeout = "1m30s"
bare_newline_networks = [
  "192.0.2.0/24", # printers
  "2001:db8::7",
]
[listeners.smtp]
addresses = ["127.0.0.1:10025"]
[mta]
retry = ["1s", "2s"]
smart_host = { host = "relay.example.test", port = 465 }
`
	c, err := Parse("x.toml", []byte(text), []string{
		`dns.resolvers = ["127.0.0.1:5353"]`, "mta.port=2525", "smtp.max_recipients = 1_000", `mta.retry=["5m"]`,
		`submission.trusted_networks=["10.0.0.0/8"]`, "smtp.max_message_size=1048576",
	})
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case c.Hostname != "mx1.example.test", c.RunDir != "/tmp/x/run":
		t.Errorf("%q %q", c.Hostname, c.RunDir)
	case c.SMTP.MaxMessageSize != 1<<20, c.SMTP.CommandTimeout.D() != 90*time.Second, c.SMTP.MaxRecipients != 1000:
		t.Errorf("%+v", c.SMTP)
	case !c.SMTP.BareNewlineNetworks.Contains(netip.MustParseAddr("::ffff:192.0.2.9")),
		!c.SMTP.BareNewlineNetworks.Contains(netip.MustParseAddr("2001:db8::7")),
		c.SMTP.BareNewlineNetworks.Contains(netip.MustParseAddr("2001:db8::8")):
		t.Errorf("%v", c.SMTP.BareNewlineNetworks)
	case c.Listeners.SMTP.Addresses[0] != "127.0.0.1:10025", !c.Listeners.SMTP.Enabled:
		t.Errorf("%+v", c.Listeners.SMTP)
	case c.MTA.Port != 2525, len(c.MTA.Retry) != 1, c.MTA.SmartHost.Host != "relay.example.test", c.MTA.SmartHost.TLS != "verify":
		t.Errorf("%+v", c.MTA)
	case c.DNS.Resolvers[0] != "127.0.0.1:5353", len(c.Submission.TrustedNetworks) != 1:
		t.Errorf("%+v %+v", c.DNS, c.Submission)
	}
}

// Each line of want must be in the error; the number of errors must be theirs.
func TestErrorsNamePlaceAndRemedy(t *testing.T) {
	for _, c := range []struct {
		name, text string
		sets       []string
		want       []string
	}{
		{"misspelt key", "[smtp]\nmax_mesage_size = 1\n", nil, []string{`x.toml:2: unknown key "smtp.max_mesage_size"; did you mean "smtp.max_message_size"?`}},
		{"right key, wrong section", "max_message_size = 1\n", nil, []string{`x.toml:1: unknown key "max_message_size"; did you mean "smtp.max_message_size"?`}},
		{"unknown key", "[smtp]\nqqqqqqqqqqqqqqqq = 1\n", nil, []string{`x.toml:2: unknown key "smtp.qqqqqqqqqqqqqqqq"`}},
		{"misspelt table", "\n[smpt]\n", nil, []string{`x.toml:2: unknown table [smpt]; did you mean [smtp]?`}},
		{"secret in the file", "[mta.smart_host]\npassword = \"x\"\n", nil, []string{`x.toml:2: unknown key "mta.smart_host.password"; did you mean "mta.smart_host.password_file"?`}},
		{"two errors", "hostname = 5\n[mta]\nport = \"25\"\n", nil, []string{
			"x.toml:1: hostname: wants a string in quotes, not a number", "x.toml:3: mta.port: wants a whole number, not a string"}},
		{"bool", "[listeners.smtp]\nenabled = \"yes\"\n", nil, []string{"x.toml:2: listeners.smtp.enabled: wants true or false, not a string"}},
		{"list", "[dns]\nresolvers = 53\n", nil, []string{"x.toml:2: dns.resolvers: wants a list in brackets, not a number"}},
		{"list item", "[dns]\nresolvers = [\"127.0.0.1:53\", 5]\n", nil, []string{"x.toml:2: dns.resolvers: item 2: wants a string"}},
		{"resolver without port", "[dns]\nresolvers = [\"127.0.0.1\"]\n", nil, []string{`x.toml:2: dns.resolvers: item 1: "127.0.0.1" is not "address:port"`}},
		{"duration without unit", "[dns]\ntimeout = \"5\"\n", nil, []string{"x.toml:2: dns.timeout: \"5\": a duration's units are"}},
		{"duration as number", "[dns]\ntimeout = 5\n", nil, []string{`x.toml:2: dns.timeout: wants a string such as "90s"`}},
		{"size unit", "[smtp]\nmax_message_size = \"5MB\"\n", nil, []string{"a size's units are B, KiB"}},
		{"bounds", "[smtp]\nmax_recipients = 5\n", nil, []string{"x.toml:2: smtp.max_recipients: 5 is not between 100 and 100000"}},
		{"enum", "[log]\nformat = \"txt\"\n", nil, []string{`x.toml:2: log.format: "txt" is none of text, json, maillog; did you mean "text"?`}},
		{"network bits", "[submission]\ntrusted_networks = [\"10.0.0.1/8\"]\n", nil, []string{`write "10.0.0.0/8"`}},
		{"syntax", "hostname = \n", nil, []string{"x.toml:1: "}},
		{"key twice", "hostname = \"a.test\"\nhostname = \"b.test\"\n", nil, []string{"x.toml:2: "}},
		{"not UTF-8", "hostname = \"\xff\"\n", nil, []string{"x.toml: not UTF-8"}},
		{"table as value", "smtp = 5\n", nil, []string{`x.toml:1: smtp: is a table of keys, not a value; its first key is "smtp.max_message_size"`}},
		{"value as table", "[hostname]\n", nil, []string{"x.toml:1: hostname: is a key, not a table"}},
		{"list of tables", "[[smtp]]\n", nil, []string{"x.toml:1: smtp: no key is a list of tables"}},
		{"set without quotes", "", []string{"hostname=mx.test"}, []string{`--set hostname: "mx.test" is not a TOML value; a string needs quotes`}},
		{"set without value", "", []string{"hostname"}, []string{`--set: "hostname" is not key=value`}},
		{"set of unknown key", "", []string{"mta.prot=25"}, []string{`--set mta.prot: unknown key "mta.prot"; did you mean "mta.port"?`}},
		{"set smuggling a table", "", []string{"mta.port=25\n[smtp]"}, []string{"--set mta.port: "}},
		{"out of bounds by set", "", []string{"mta.port=70000"}, []string{"--set mta.port: mta.port: 70000 is not between 1 and 65535"}},
		{"half a certificate", "[tls]\nkey = \"/k.pem\"\n", nil, []string{"x.toml:2: tls.key: needs tls.cert too"}},
		{"three files of a certificate", "[tls]\ncertificates = [\"/a /b /c\"]\n", nil, []string{"x.toml:2: tls.certificates: item 1: wants \"CERT KEY\""}},
		{"TLS 1.1", "[tls]\nmin_version = \"1.1\"\n", nil, []string{`x.toml:2: tls.min_version: "1.1" is none of 1.2, 1.3`}},
		{"dns-01 and others", "[tls.acme]\nenabled = true\nnames = [\"mx.test\"]\nchallenges = [\"dns-01\", \"http-01\"]\n", nil,
			[]string{"x.toml:4: tls.acme.challenges: dns-01 stands alone", "tls.acme.dns.server: is needed for dns-01"}},
		{"wildcard over the network", "[tls.acme]\nenabled = true\nnames = [\"*.mx.test\"]\n", nil, []string{"x.toml:3: tls.acme.names: \"*.mx.test\": a wildcard needs"}},
		{"authority without https", "[tls.acme]\nenabled = true\nnames = [\"mx.test\"]\ndirectory = \"http://ca.test/\"\n", nil, []string{`x.toml:4: tls.acme.directory: "http://ca.test/" is not an https URL`}},
		{"a host without a domain", "hostname = \"box\"\n[tls.acme]\nenabled = true\n", nil, []string{`tls.acme.names: "box" has no domain`}},
		{"password in clear", "[mta.smart_host]\nhost=\"r.test\"\nuser=\"u\"\npassword_file=\"/p\"\ntls=\"may\"\n", nil, []string{"x.toml:5: mta.smart_host.tls: a password is sent only under TLS"}},
		{"set-up without a port", "[setup]\nimaps = \"mail.example\"\n", nil, []string{`x.toml:2: setup.imaps: "mail.example" is not "host:port" or "none"`}},
		{"set-up with a path", "[setup]\nurl = \"https://mail.example/x\"\n", nil, []string{`x.toml:2: setup.url: "https://mail.example/x" is not the beginning of a URL`}},
		{"master user", "[auth]\nmaster_users = [\"root@a.test\", \"alice*root\"]\n", nil, []string{`x.toml:2: auth.master_users: "alice*root" is not an account's address`}},
		{"open LMTP", "[listeners.lmtp]\nenabled = true\naddresses = [\":24\"]\n", nil, []string{"x.toml:3: listeners.lmtp.addresses: \":24\" is not a loopback address"}},
		{"no address", "[listeners.imap]\naddresses = []\n", nil, []string{"x.toml:2: listeners.imap.addresses: is empty, and the service is enabled"}},
		{"one address twice", "[listeners.imap]\naddresses = [\":25\"]\n", nil, []string{`listeners.imap.addresses: ":25" is taken by listeners.smtp.addresses`}},
		{"PostgreSQL without a place", "[database]\nengine = \"postgres\"\n", nil, []string{`x.toml:2: database.engine: "postgres" needs database.url`}},
		{"a place for SQLite", "[database]\nurl = \"postgres:///mail\"\n", nil, []string{`database.engine: "sqlite" has no url`}},
		{"two places", "[database]\nengine = \"postgres\"\nurl = \"postgres:///mail\"\nurl_file = \"/x\"\n", nil, []string{"x.toml:4: database.url_file: is given and database.url too"}},
		{"password in the URL", "[database]\nengine = \"postgres\"\nurl = \"postgres://p:secret@db.test:5432/mail\"\n", nil, []string{"x.toml:3: database.url: has a password"}},
		{"password among keywords", "[database]\nengine = \"postgres\"\nurl = \"host=db.test password=secret\"\n", nil, []string{"x.toml:3: database.url: has a password"}},
		{"relative folder", "data_dir = \"x\"\nrun_dir = \"/run/p\"\n", nil, []string{"x.toml:1: data_dir: wants an absolute path"}},
		{"shadow without the helper", "[auth]\nsystem = \"shadow\"\n", nil,
			[]string{`x.toml:2: auth.system: "shadow" is read by the helper, as root: set helper.enabled = true`}},
		{"saslauthd without a socket", "[auth]\nsystem = \"saslauthd\"\nsaslauthd_socket = \"mux\"\n", nil, []string{"x.toml:3: auth.saslauthd_socket: wants an absolute path"}},
		{"relative socket of the helper", "[helper]\nsocket = \"helper.sock\"\n", nil, []string{"x.toml:2: helper.socket: wants an absolute path"}},
		{"hostname", "hostname = \"a_-.test\"\n", nil, []string{"is not a host name"}},
	} {
		_, err := Parse("x.toml", []byte(c.text), c.sets)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		if n := strings.Count(err.Error(), "\n") + 1; n != len(c.want) && c.name != "hostname" {
			t.Errorf("%s: %d errors, want %d: %v", c.name, n, len(c.want), err)
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s:\n got %s\nwant %s", c.name, err, w)
			}
		}
	}
}

func TestDefaultGolden(t *testing.T) {
	text, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "default.toml")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("the example changed; look at it and run go test -update\n%s", text)
	}
}

// The example with its keys uncommented is the default configuration, and every key has a text.
func TestDefaultIsWhatItSays(t *testing.T) {
	text, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	var live strings.Builder
	keys := 0
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && rest[0] != ' ' {
			keys++
			line = rest
		}
		live.WriteString(line)
	}
	if keys != len(Keys()) {
		t.Errorf("%d keys shown of %d", keys, len(Keys()))
	}
	c, err := Parse("default", []byte(live.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := Parse("empty", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(empty, c); len(d) != 0 {
		t.Errorf("differs from the defaults: %v", d)
	}
	docs, err := texts()
	if err != nil {
		t.Fatal(err)
	}
	walk(withNames(Defaults(), ""), nil, func(l leaf) {
		if len(docs[l.owner+"."+l.field.Name]) == 0 {
			t.Errorf("%s has no text", l.key)
		}
	})
}

func TestShowRoundTrip(t *testing.T) {
	c, err := Parse("x", []byte("hostname=\"a.test\"\n[log]\nfile=\"/x\\\"\\u0001é\"\n[dns]\nresolvers=[\"[::1]:53\"]\n"), []string{"mta.expire_after=\"1w1h\""})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("shown", []byte(Show(c)), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, Show(c))
	}
	if d := Diff(c, again); len(d) != 0 || again.Log.File != "/x\"\x01é" {
		t.Errorf("%v %q", d, again.Log.File)
	}
	for _, v := range Values(c) {
		if v.Key == "mta.expire_after" && (v.Value != "7d1h" || v.Default) {
			t.Errorf("%+v", v)
		}
	}
}

func TestDiffTellsWhatNeedsARestart(t *testing.T) {
	a, err := Parse("a", []byte("hostname=\"a.test\""), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse("b", []byte("hostname=\"a.test\"\n[smtp]\nmax_recipients=500\n[listeners.imap]\naddresses=[\":1143\"]\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := Diff(a, b)
	want := []Change{
		{"listeners.imap.addresses", `[":143"]`, `[":1143"]`, true},
		{"smtp.max_recipients", "1000", "500", false},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v", got)
	}
	if keys := NeedsRestart(got); len(keys) != 1 || keys[0] != "listeners.imap.addresses" {
		t.Errorf("%v", keys)
	}
}

// Two configurations share nothing: a reload builds a new one while the old is in use.
func TestConfigsShareNothing(t *testing.T) {
	a, b := Defaults(), Defaults()
	a.Listeners.SMTP.Addresses[0] = "changed"
	a.MTA.Retry[0] = 1
	if b.Listeners.SMTP.Addresses[0] == "changed" || b.MTA.Retry[0] == 1 {
		t.Error("shared")
	}
}

func TestLoadReportsAnUnreadableFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.toml"), nil); err == nil || !strings.Contains(err.Error(), "none.toml") {
		t.Error(err)
	}
}
