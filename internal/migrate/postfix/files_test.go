package postfix

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPasswordsStayInTheirFile looks for the password of the relay in all that is written.
func TestPasswordsStayInTheirFile(t *testing.T) {
	const password = "not:a:real:secret"
	r := moved(t, "satellite-sasl")
	if got := string(r.Files["smart_host.password"]); got != password+"\n" {
		t.Errorf("the password's file holds %q", got)
	}
	var report strings.Builder
	r.WriteReport(&report)
	for what, text := range map[string]string{"configuration": r.Config, "report": report.String(), "script": string(r.Files["import.sh"])} {
		if strings.Contains(text, "real") {
			t.Errorf("the %s holds the password", what)
		}
	}
}

// TestTransportsInTables get our names: a copy of smtp is smtp.
func TestTransportsInTables(t *testing.T) {
	if got := string(moved(t, "instances").Files["maps/transport"]); got != "yahoo.example smtp:\nexample.edu smtp:[192.0.2.77]\n" {
		t.Errorf("%q", got)
	}
	o := newOrigin(t.TempDir(), "", "", "scan unix - - n - - smtp\nfiling unix - n n - - pipe\n  user=x argv=/bin/y\n")
	m := newMove(o, Options{})
	got := string(m.renamedFilters([]byte("/^X-Virus/ FILTER scan:[127.0.0.1]:10024\n# FILTER scan:x\na FILTER smtp:[b]\n")))
	if got != "/^X-Virus/ FILTER smtp:[127.0.0.1]:10024\n# FILTER scan:x\na FILTER smtp:[b]\n" {
		t.Errorf("%q", got)
	}
}

// TestUnitsForSpawn are what starts programs once master.cf does not.
func TestUnitsForSpawn(t *testing.T) {
	r := moved(t, "policy")
	if got := string(r.Files["systemd/policyd-spf.socket"]); !strings.Contains(got, "\nListenStream=/run/policyd-spf.sock\nAccept=yes\n") {
		t.Errorf("%q", got)
	}
	if got := string(r.Files["systemd/policyd-spf@.service"]); !strings.Contains(got, "\nExecStart=/usr/bin/policyd-spf\nUser=policyd-spf\nStandardInput=socket\n") {
		t.Errorf("%q", got)
	}
}

// TestSourceIsNotTouched compares the whole source before and after, times included.
func TestSourceIsNotTouched(t *testing.T) {
	state := func() map[string]time.Time {
		files := map[string]time.Time{}
		if err := filepath.WalkDir("testdata/sites/container", func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil {
				files[path] = info.ModTime()
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return files
	}
	before := state()
	moved(t, "container")
	after := state()
	if len(before) != len(after) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
	for path, at := range before {
		if !after[path].Equal(at) {
			t.Errorf("%s was changed", path)
		}
	}
}

// TestKeptMailboxes lets mail go on to the program that keeps mailboxes.
func TestKeptMailboxes(t *testing.T) {
	o, err := Read("testdata/sites/isp-mysql/etc/postfix", "host.example.org")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Move(o, Options{TableTypes: types, KeepMailboxes: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`virtual_transport = "lmtp:unix:/var/spool/postfix/private/dovecot-lmtp"`,
		`virtual_mailbox_domains = ["mysql:maps/mysql-virtual-mailbox-domains.cf"]`, `virtual_mailbox_maps = ["mysql:maps/mysql-virtual-mailbox-maps.cf"]`} {
		if !strings.Contains(r.Config, "\n"+want+"\n") {
			t.Errorf("lacks %s", want)
		}
	}
	if r.Files["import.sh"] != nil {
		t.Errorf("import.sh: %s", r.Files["import.sh"])
	}
}

// TestMissingTablesAreLeftOut keeps the rest of a setting, and says how to get the text of one that was only compiled.
func TestMissingTablesAreLeftOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc/postfix")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"virtual.db": "\x00", "more": "a@example.org b@example.org\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Move(newOrigin(dir, "h.example.org", "virtual_alias_maps = hash:/etc/postfix/virtual, hash:$config_directory/more\n", ""), Options{TableTypes: types})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Config, `virtual_alias_maps = ["hash:maps/more"]`) {
		t.Error(r.Config)
	}
	if l := r.Lines[0]; l.Fate != Unsupported || !strings.Contains(l.Text, "postmap -s") {
		t.Errorf("%s", l)
	}
}
