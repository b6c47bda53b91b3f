package sqltab

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/decide/table"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func env() mapconf.Env {
	return mapconf.Env{Now: time.Now, Intn: func(int) int { return 0 }, Open: func(string) (table.List, error) { return nil, nil }}
}

// TestServersThatHang: a server that takes the connection and says nothing, or rubbish, is a failure within the time-out; with
// two hosts the other one is not asked for longer than what is left.
func TestServersThatHang(t *testing.T) {
	for name, say := range map[string]string{"silence": "", "rubbish": "HTTP/1.1 400 Bad Request\r\n\r\n", "a huge packet": "\xff\xff\xff\x00\x0a", "error": "E\x00\x00\x00\x7fS"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					_, _ = io.WriteString(c, say)
					_, _ = io.Copy(io.Discard, c)
				}()
			}
		}()
		text := "hosts = inet:" + l.Addr().String() + "\nuser = x\npassword = y\ndbname = z\nquery = SELECT '%s'\n"
		for _, open := range []func(string, mapconf.Env) (*Table, []table.Problem, error){PostgreSQL, MySQL} {
			one, bad, err := open(text, env())
			if err != nil || len(bad) > 0 {
				t.Fatal(err, bad)
			}
			one.timeout = 150 * time.Millisecond
			if value, found, err := one.Lookup(t.Context(), "k"); err == nil || found {
				t.Errorf("%s of %s: %q, %t", name, one.kind, value, found)
			}
			if err := one.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestWrongFiles(t *testing.T) {
	dir := t.TempDir()
	lite := func(text string, env mapconf.Env) (*Table, []table.Problem, error) { return SQLite(text, dir, env) }
	for _, c := range []struct {
		open       func(string, mapconf.Env) (*Table, []table.Problem, error)
		text, want string
	}{
		{PostgreSQL, "hosts = h\nquery = SELECT '%s'\n", "dbname: the parameter is missing"},
		{PostgreSQL, "hosts = h\ndbname = x\n", "query: the parameter is missing"},
		{PostgreSQL, "dbname = x\nqeury = SELECT 1\n", "is query meant?"},
		{PostgreSQL, "hosts = unix:relative\ndbname = x\nquery = a\n", "line 1: hosts = unix:relative: unix:relative: expected is unix:/path"},
		{PostgreSQL, "dbname = x\nquery = SELECT %q\n", "%q is none of"},
		{PostgreSQL, "dbname = x\nquery = a\nencoding = LATIN1\n", "only UTF8 is spoken"},
		{PostgreSQL, "hosts = postgresql://u:geheim@h/x?sslmode=bad\nquery = a\n", "the URI cannot be understood"},
		{MySQL, "hosts = h\nquery = a\n", "dbname is missing"},
		{MySQL, "dbname = x\nquery = a\noption_file = /etc/my.cnf\n", "files of options are not read"},
		{MySQL, "dbname = x\nquery = a\ntls_CAfile = /none\n", "no such file"},
		{MySQL, "dbname = x\nquery = a\ntimeout = 0\n", "at least 1s"},
		{lite, "query = a\n", "dbpath is missing"},
		{lite, "dbpath = none.db\nquery = a\n", "no such file"},
		{lite, "dbpath = /\nquery = a\n", "no regular file"},
	} {
		_, _, err := c.open(c.text, env())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

// TestOutageTellsNoPassword: hosts may be URIs with one, and the log tells which host failed.
func TestOutageTellsNoPassword(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	for _, host := range []string{"postgresql://u:geheim@" + dead.Addr().String() + "/x", "postgresql://" + dead.Addr().String() + "/x?user=u&password=geheim"} {
		table, _, err := PostgreSQL("hosts = "+host+"\nquery = SELECT '%s'\n", env())
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = table.Lookup(t.Context(), "k")
		if err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), dead.Addr().String()) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestOldForm(t *testing.T) {
	one, bad, err := PostgreSQL("dbname = x\ntable = t\nselect_field = a\nwhere_field = b\nadditional_conditions = AND c LIKE '5%'\n", env())
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	if got, _ := one.query.Query("o'k", one.quote); got != "SELECT a FROM t WHERE b = 'o''k' AND c LIKE '5%'" {
		t.Errorf("the query: %s", got)
	}
	one, _, err = PostgreSQL("dbname = x\nselect_function = f\n", env())
	if got, _ := one.query.Query("k", one.quote); err != nil || got != "SELECT f('k')" {
		t.Errorf("the query: %s, %v", got, err)
	}
}

// TestUnquoted: a place that quoting does not protect is told.
func TestUnquoted(t *testing.T) {
	for _, c := range []struct {
		query       string
		pgsql, mine bool // a problem with PostgreSQL and SQLite, with MySQL
	}{
		{"SELECT a FROM b WHERE c = '%s' AND d = '%u@%d'", false, false},
		{"SELECT a FROM b WHERE c = %s", true, true},
		{`SELECT a FROM b WHERE c = "%s"`, true, false},
		{"SELECT a FROM `%d` WHERE c = '%s'", true, true},
		{`SELECT a FROM b WHERE c = E'%s'`, true, false},
		{`SELECT a FROM b WHERE c = E'\'' AND d = '%s'`, false, false},
		{"SELECT a FROM b WHERE c = $$%s$$", true, true},
		{"SELECT 'it''s' FROM b WHERE c = '%s'", false, false},
		{`SELECT 'it\'s' FROM b WHERE c = '%s'`, true, false},
		{"SELECT a FROM b WHERE c LIKE '5%%' AND d = '%1'", false, false},
		{"SELECT a FROM b WHERE c LIKE 5%%", false, false},
	} {
		if got := unquoted(c.query, false); got != c.pgsql {
			t.Errorf("%s: %v", c.query, got)
		}
		if got := unquoted(c.query, true); got != c.mine {
			t.Errorf("%s with backslashes: %v", c.query, got)
		}
	}
	_, bad, err := MySQL("dbname = x\nquery = SELECT a FROM b WHERE c = %s\n", env())
	if err != nil || len(bad) != 1 || bad[0].Line != 2 {
		t.Errorf("%v, %v", bad, err)
	}
}

func TestAddresses(t *testing.T) {
	for word, want := range map[string]string{"h": "tcp h:1", "h:2": "tcp h:2", "inet:h": "tcp h:1", "inet:h:3": "tcp h:3", "inet:[::1]:3": "tcp [::1]:3", "[::1]": "tcp [::1]:1",
		"unix:/run/s": "unix /run/s", "unix:s": "-", "inet:": "-"} {
		network, addr, err := address(word, "1")
		got := network + " " + addr
		if err != nil {
			got = "-"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

// FuzzQuotes: a quoted key ends where it was meant to, for either kind of quotes.
func FuzzQuotes(f *testing.F) {
	f.Fuzz(func(t *testing.T, key string) {
		if got, rest := standard("'" + doubled(key) + "' tail"); got != key || rest != " tail" {
			t.Fatalf("%q is read as %q, then %q", key, got, rest)
		}
		for _, quote := range []byte{'\'', '"'} {
			if got, rest := mysqlString(string(quote) + backslashed(key) + string(quote) + " tail"); got != key || rest != " tail" {
				t.Fatalf("%q is read as %q, then %q", key, got, rest)
			}
		}
	})
}

// standard reads a string of standard SQL.
func standard(s string) (text, rest string) {
	for i := 1; i < len(s); i++ {
		if s[i] == '\'' {
			if i+1 < len(s) && s[i+1] == '\'' {
				i++
			} else {
				return text, s[i+1:]
			}
		}
		text += string(s[i : i+1])
	}
	return text, ""
}

// mysqlString reads a string as MySQL does.
func mysqlString(s string) (text, rest string) {
	escapes := map[byte]string{'0': "\x00", 'n': "\n", 'r': "\r", 'Z': "\x1a", '\\': `\`, '\'': "'", '"': `"`}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			text += escapes[s[i]]
		case s[i] == s[0]:
			return text, s[i+1:]
		default:
			text += s[i : i+1]
		}
	}
	return text, ""
}

func makeDB(t testing.TB, path, value string) {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := sqlitex.ExecuteScript(c, "CREATE TABLE t (k, v); INSERT INTO t VALUES ('k', '"+value+"'), ('null', NULL);", nil); err != nil {
		t.Fatal(err)
	}
}

// TestSQLiteFile: a database that is replaced by another file is read anew; it is never written to.
func TestSQLiteFile(t *testing.T) {
	dir := t.TempDir()
	makeDB(t, filepath.Join(dir, "a.db"), "one")
	one, _, err := SQLite("dbpath = a.db\nquery = SELECT v FROM t WHERE k = '%s'; DROP TABLE t\n", dir, env())
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	want := func(key, want string) {
		t.Helper()
		got, found, err := one.Lookup(t.Context(), key)
		if !found {
			got = "-"
		}
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", key, got, err, want)
		}
	}
	want("K", "one")
	want("k' OR ''='", "-")
	want("null", "-")
	want("k", "one")
	makeDB(t, filepath.Join(dir, "b.db"), "two")
	if err := os.Rename(filepath.Join(dir, "b.db"), filepath.Join(dir, "a.db")); err != nil {
		t.Fatal(err)
	}
	want("k", "two")
	wrong, _, err := SQLite("dbpath = a.db\nquery = DELETE FROM t WHERE k = '%s'\n", dir, env())
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if _, _, err := wrong.Lookup(t.Context(), "k"); err == nil {
		t.Error("a query that writes was run")
	}
	want("k", "two")
}

// BenchmarkSQLite is one question of one row.
func BenchmarkSQLite(b *testing.B) {
	dir := b.TempDir()
	makeDB(b, filepath.Join(dir, "a.db"), "one")
	one, _, err := SQLite("dbpath = a.db\nquery = SELECT v FROM t WHERE k = '%s'\n", dir, env())
	if err != nil {
		b.Fatal(err)
	}
	defer one.Close()
	for b.Loop() {
		if _, found, err := one.Lookup(b.Context(), "k"); !found || err != nil {
			b.Fatal(found, err)
		}
	}
}
