package lookup

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func (b *bench) database(t *testing.T, name string) {
	t.Helper()
	c, err := sqlite.OpenConn(filepath.Join(b.dir, name), sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := sqlitex.ExecuteScript(c, "CREATE TABLE t (k, v); INSERT INTO t VALUES ('k', 'x'), ('o''k', 'y');", nil); err != nil {
		t.Fatal(err)
	}
}

func TestDatabaseFile(t *testing.T) {
	b := newBench(t)
	b.database(t, "mail.db")
	b.write(t, "x.cf", "dbpath = mail.db\nquery = SELECT v FROM t WHERE k = '%s'\n")
	all, err := b.List("proxy:sqlite:x.cf")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, all, "K", "x", "O'k", "y", "none", "-")
	if direct, err := b.List("sqlite:x.cf"); err != nil || direct[0] != all[0] {
		t.Errorf("proxy: is another table: %v", err)
	}
	// A file that changes is in force when it has been left alone; one that is wrong changes nothing.
	b.write(t, "x.cf", "dbpath = mail.db\nquery = SELECT upper(v) || 'z' FROM t WHERE k = '%s'\n")
	for range 2 {
		b.now = b.now.Add(interval)
		expect(t, all, "none", "-")
	}
	expect(t, all, "k", "Xz")
	b.write(t, "x.cf", "dbpath = mail.db\nqeury = SELECT 1\n")
	for range 3 {
		b.now = b.now.Add(interval)
		expect(t, all, "k", "Xz")
	}
	if !strings.Contains(b.log.String(), "is query meant?") {
		t.Errorf("the log: %s", &b.log)
	}
	// A reload that names it is refused.
	if _, err := b.List("sqlite:x.cf"); err == nil || !strings.Contains(err.Error(), "x.cf") || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a reload with it: %v", err)
	}
	expect(t, all, "k", "Xz")
	b.write(t, "x.cf", "dbpath = mail.db\nquery = SELECT v || v FROM t WHERE k = '%s'\n")
	if _, err := b.List("sqlite:x.cf"); err != nil {
		t.Error(err)
	}
	expect(t, all, "k", "xx") // at once
}

func TestReadablePassword(t *testing.T) {
	b := newBench(t)
	b.write(t, "x.cf", "# secret\nuser = a\npassword = b\nhosts = 127.0.0.1:1\ndbname = x\nquery = SELECT '%s'\n")
	if err := os.Chmod(filepath.Join(b.dir, "x.cf"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := b.List("pgsql:x.cf"); err != nil {
		t.Fatal(err)
	}
	if bad := b.Files()[0].Problems(); len(bad) != 1 || bad[0].Line != 3 || !strings.Contains(bad[0].Text, "chmod o-r") {
		t.Errorf("problems: %v", bad)
	}
}

func TestEnviron(t *testing.T) {
	t.Setenv("POSTRIDER_TABLE_TEST", "value")
	b := newBench(t)
	all, err := b.List("environ:")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, all, "POSTRIDER_TABLE_TEST", "value", "POSTRIDER_NO_SUCH", "-")
}

// An outage is never "not found", in tables of tables too.
func TestOutageInside(t *testing.T) {
	b := newBench(t)
	b.write(t, "x.cf", "hosts = unix:/none\n")
	for _, name := range []string{"unionmap:{static:a,redis:x.cf}", "pipemap:{static:a,redis:x.cf}", "inline:{b=c} redis:x.cf"} {
		all, err := b.List(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, found, err := all.Lookup(context.Background(), "a", false); err == nil || found {
			t.Errorf("%s: %t, %v", name, found, err)
		}
	}
}

func TestFilesOf(t *testing.T) {
	b := newBench(t)
	b.write(t, "x.cf", "dbpath = sub/mail.db\ndomain = /etc/domains a.test\nquery = a\n")
	got := strings.Join(FilesOf("sqlite", filepath.Join(b.dir, "x.cf")), " ")
	if want := strings.Join([]string{filepath.Join(b.dir, "x.cf"), filepath.Join(b.dir, "sub/mail.db"), "/etc/domains"}, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := FilesOf("hash", "/x"); len(got) != 1 {
		t.Errorf("files of a hash: %v", got)
	}
}

// Files that name each other are an error, when they are opened and when they change.
func TestTablesThatNameThemselves(t *testing.T) {
	b := newBench(t)
	b.write(t, "a.cf", "memcache = inet:127.0.0.1:1\nbackup = proxy:memcache:b.cf\n")
	b.write(t, "b.cf", "memcache = inet:127.0.0.1:1\nbackup = memcache:a.cf\n")
	if _, err := b.List("memcache:a.cf"); err == nil || !strings.Contains(err.Error(), "name each other") {
		t.Errorf("%v", err)
	}
	b.write(t, "b.cf", "memcache = inet:127.0.0.1:1\nbackup = inline:{k=v}\n")
	all, err := b.List("memcache:a.cf")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, all, "k", "v", "none", "-")
	b.write(t, "b.cf", "memcache = inet:127.0.0.1:1\ndomain = memcache:b.cf\nbackup = inline:{k=v}\n")
	if _, err := b.List("memcache:b.cf"); err == nil || !strings.Contains(err.Error(), "name each other") {
		t.Errorf("%v", err)
	}
}
