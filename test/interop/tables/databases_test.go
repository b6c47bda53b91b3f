package tables

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/test/needs"
)

func opener(dir string) *lookup.Opener {
	return &lookup.Opener{Dir: dir, Now: time.Now, Intn: rand.IntN, Log: slog.New(slog.DiscardHandler)}
}

// opened opens one table as the server does.
func opened(t *testing.T, dir, name string) table.Table {
	t.Helper()
	list, err := opener(dir).List(name)
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// hostile are local parts that try to leave the string, filter or line that they stand in.
func hostile(r *rand.Rand) string {
	return pick(r, "o'neil", `back\slash`, `\'`, `''`, `" or ""="`, "' OR '1'='1", "x' -- ", "100%", "%s", "%%", "*", "a*", "(x)", "x)(uid=*", "$1", "no\x7fbell", "a;b", "#x", "per_cent", `x\`, "`x`", "a,b", "a=b", "a<b>", "/*")
}

func keysAndRows(seed uint64) (keys []string, rows [][2]string) {
	r := rand.New(rand.NewPCG(7, seed))
	seen := map[string]bool{}
	for i := range needs.Amount(400, 1500) {
		local := pick(r, strings.ReplaceAll(word(r), "ü", "u"), hostile(r), fmt.Sprintf("user%d", r.IntN(400)), fmt.Sprintf("user%d+ext", r.IntN(50)))
		key := pick(r, local+"@"+domain(r), local+"@"+domain(r), local, "@"+domain(r), domain(r), local+"@", local+"@a.b.c.d.test", "a@b@"+domain(r))
		keys = append(keys, key, strings.ToUpper(key))
		if low := strings.ToLower(key); r.IntN(2) == 0 && !seen[low] {
			seen[low] = true
			for range pick1(r) {
				rows = append(rows, [2]string{low, pick(r, fmt.Sprintf("dest%d@%s", i, domain(r)), fmt.Sprintf("plain%d", i), "", "@"+domain(r), "50%@x.test", "it's", `back\slash`)})
			}
		}
	}
	return keys, rows
}

// pick1 is how many rows an address has: one, for most.
func pick1(r *rand.Rand) int {
	if r.IntN(5) == 0 {
		return 1 + r.IntN(3)
	}
	return 1
}

// queries are configurations beyond the plain one, by what they add to it; Q stands for the query's quoted key.
var queries = map[string]string{
	"plain":    "query = SELECT goto FROM virtual WHERE address = '%s' ORDER BY goto\n",
	"parts":    "query = SELECT goto FROM virtual WHERE address = '%u@%d' ORDER BY goto\n",
	"domain":   "query = SELECT goto FROM virtual WHERE address = '@%d' ORDER BY goto\nresult_format = %U+%s\n",
	"labels":   "query = SELECT goto FROM virtual WHERE address = '%u@%2.%1' ORDER BY goto\n",
	"format":   "query = SELECT goto FROM virtual WHERE address = '%s' ORDER BY goto\nresult_format = <%u|%d|%S|%%>\n",
	"of key":   "query = SELECT goto FROM virtual WHERE address = '%S' ORDER BY goto\nresult_format = %D:%1:%s\n",
	"eligible": "query = SELECT goto FROM virtual WHERE address = '%s' ORDER BY goto\ndomain = example.org, EXAMPLE.com !b.test\n",
	"columns":  "query = SELECT goto, NULL, address FROM virtual WHERE address = '%s' ORDER BY goto\n",
	"old":      "table = virtual\nselect_field = goto\nwhere_field = address\nadditional_conditions = and goto <> 'x' ORDER BY goto\n",
	"constant": "query = SELECT goto FROM virtual WHERE address LIKE 'user1%%' ORDER BY goto, address\n",
}

// databaseAgrees asks Postfix's table and ours for the same keys, with each of the queries.
func databaseAgrees(t *testing.T, kind, head string, keys []string) {
	dir := configured(t)
	for name, query := range queries {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".cf")
			write(t, path, head+query)
			some := keys
			if name != "plain" && name != "format" {
				some = keys[:needs.Amount(200, 500)]
			}
			if name == "constant" {
				some = keys[:50]
			}
			agree(t, opened(t, dir, kind+":"+path), postmap(t, dir, kind+":"+path, some), some)
		})
	}
}

const schema = "CREATE TABLE virtual (address varchar(200) NOT NULL, goto varchar(200) NOT NULL);\nCREATE INDEX virtual_address ON virtual (address);\n"

func TestSQLite(t *testing.T) {
	keys, rows := keysAndRows(1)
	path := filepath.Join(t.TempDir(), "mail.db")
	run(t, "BEGIN;"+strings.NewReplacer("TABLE virtual", `TABLE "virtual"`, "ON virtual", `ON "virtual"`).Replace(schema)+strings.ReplaceAll(sqlRows(rows), "INTO virtual", `INTO "virtual"`)+"COMMIT;", "sqlite3", path)
	dir := configured(t)
	for name, query := range queries {
		t.Run(name, func(t *testing.T) {
			cf := filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".cf")
			write(t, cf, "dbpath = "+path+"\n"+strings.ReplaceAll(strings.ReplaceAll(query, "FROM virtual", `FROM "virtual"`), "= virtual", `= "virtual"`))
			some := keys[:needs.Amount(200, 500)]
			if name == "constant" {
				some = keys[:50]
			}
			agree(t, opened(t, dir, "sqlite:"+cf), postmap(t, dir, "sqlite:"+cf, some), some)
		})
	}
}

func TestPostgreSQL(t *testing.T) {
	keys, rows := keysAndRows(2)
	rows = append(rows, [2]string{"jörg@bücher.example", "möglich"})
	socket := postgres(t, schema+"BEGIN;"+sqlRows(rows)+"COMMIT;")
	head := "hosts = unix:" + socket + "\nuser = postrider\ndbname = postgres\n"
	databaseAgrees(t, "pgsql", head, keys)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "utf8.cf"), head+queries["plain"])
	unicode := opened(t, dir, "proxy:pgsql:utf8.cf")
	if got, found, err := unicode.Lookup(t.Context(), "JÖRG@bücher.example"); err != nil || !found || got != "möglich" {
		t.Errorf("a key beyond ASCII: %q, %t, %v", got, found, err) // Postfix 3.7 speaks LATIN1 with PostgreSQL and does not find it
	}
	if _, found, err := unicode.Lookup(t.Context(), "j\xf6rg@x"); err != nil || found {
		t.Errorf("a key that is no UTF-8: %t, %v", found, err)
	}
	write(t, filepath.Join(dir, "two.cf"), strings.Replace(head, "hosts = ", "hosts = unix:"+dir+" inet:127.0.0.1:1 ", 1)+queries["plain"])
	two := opened(t, dir, "pgsql:two.cf")
	for range 5 {
		if got, found, err := two.Lookup(t.Context(), "jörg@bücher.example"); err != nil || !found || got != "möglich" {
			t.Errorf("one of three hosts lives: %q, %t, %v", got, found, err)
		}
	}
	write(t, filepath.Join(dir, "wrong.cf"), head+"query = SELECT nothing FROM nowhere WHERE a = '%s'\n")
	if _, _, err := opened(t, dir, "pgsql:wrong.cf").Lookup(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a query that is wrong: %v", err)
	}
	write(t, filepath.Join(dir, "slow.cf"), head+"timeout = 1\nquery = SELECT pg_sleep(60), '%s'\n")
	if _, found, err := opened(t, dir, "pgsql:slow.cf").Lookup(t.Context(), "a"); err == nil || found {
		t.Errorf("a query that hangs: %t, %v", found, err)
	}
	write(t, filepath.Join(dir, "limit.cf"), head+"expansion_limit = 3\nquery = SELECT goto FROM virtual WHERE '%s' <> ''\n")
	if _, found, err := opened(t, dir, "pgsql:limit.cf").Lookup(t.Context(), "a"); err == nil || found || !strings.Contains(err.Error(), "expansion_limit") {
		t.Errorf("more than expansion_limit: %t, %v", found, err)
	}
}

func TestMariaDB(t *testing.T) {
	needs.Quick(t, "MariaDB")
	keys, rows := keysAndRows(3)
	rows = append(rows, [2]string{"jörg@bücher.example", "möglich"})
	for name, mode := range map[string]string{"backslashes": "", "no backslashes": "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"} {
		t.Run(name, func(t *testing.T) {
			socket := mariadb(t, mode, "CREATE TABLE `virtual` (address varchar(200) NOT NULL, goto varchar(200) NOT NULL, KEY (address));\n"+
				strings.ReplaceAll(sqlRows(rows), "INTO virtual", "INTO `virtual`"))
			head := "hosts = unix:" + socket + "\nuser = postfix\npassword = sec'ret\ndbname = mail\n"
			saved := map[string]string{}
			for name, q := range queries {
				saved[name] = strings.ReplaceAll(strings.ReplaceAll(q, "FROM virtual", "FROM `virtual`"), "= virtual", "= `virtual`")
			}
			dir := configured(t)
			for name, query := range saved {
				if mode != "" && name != "plain" && name != "format" {
					continue // the mode is about quoting only
				}
				t.Run(name, func(t *testing.T) {
					cf := filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".cf")
					write(t, cf, head+query)
					some := keys[:needs.Amount(200, 500)]
					if name == "constant" {
						some = keys[:50]
					}
					agree(t, opened(t, dir, "mysql:"+cf), postmap(t, dir, "mysql:"+cf, some), some)
				})
			}
			cf := filepath.Join(dir, "utf8.cf")
			write(t, cf, head+saved["plain"])
			if got, found, err := opened(t, dir, "mysql:"+cf).Lookup(t.Context(), "JÖRG@bücher.example"); err != nil || !found || got != "möglich" {
				t.Errorf("a key beyond ASCII: %q, %t, %v", got, found, err)
			}
			write(t, cf, head+"timeout = 1\nquery = SELECT SLEEP(60), '%s'\n")
			if _, found, err := opened(t, dir, "mysql:"+cf).Lookup(t.Context(), "a"); err == nil || found {
				t.Errorf("a query that hangs: %t, %v", found, err)
			}
		})
	}
}

// ldifValue writes a value so that any byte can be in it.
func ldifValue(name, value string) string {
	return name + ":: " + base64.StdEncoding.EncodeToString([]byte(value)) + "\n"
}

func TestLDAP(t *testing.T) {
	needs.Quick(t, "slapd")
	keys, rows := keysAndRows(4)
	keys = append(keys, "jörg@example.org", "group@example.org", "team@example.org", "search@example.org", "ghost@example.org", "delegated@example.org")
	rows = append(rows, [2]string{"jörg@example.org", "möglich"})
	var ldif strings.Builder
	ldif.WriteString("dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\no: x\n\n")
	for i, r := range rows {
		if r[1] == "" {
			continue
		}
		fmt.Fprintf(&ldif, "dn: uid=u%d,dc=example\nobjectClass: inetOrgPerson\nuid: u%d\ncn: x\nsn: x\n%s%s\n", i, i, ldifValue("mail", r[0]), ldifValue("description", r[1]))
	}
	group := func(name string, attributes ...string) {
		fmt.Fprintf(&ldif, "dn: cn=%s,dc=example\nobjectClass: inetOrgPerson\ncn: %s\nsn: x\nmail: %s@example.org\n%s\n\n", name, name, name, strings.Join(attributes, "\n"))
	}
	group("group", "seeAlso: uid=u1,dc=example", "seeAlso: uid=u2,dc=example", "description: leaf@example.org")
	group("team", "seeAlso: cn=group,dc=example", "seeAlso: uid=u3,dc=example")
	group("ghost", "seeAlso: uid=nobody,dc=example", "seeAlso: uid=u4,dc=example")
	group("search", "labeledURI: ldap:///dc=example??one?(uid=u1*)")
	group("delegated", "seeAlso: cn=group,dc=example", "street: delegate@host.test")
	group("loop", "seeAlso: cn=loop,dc=example")
	uri, secure, ca := slapd(t, ldif.String())
	head := "server_host = " + uri + "\nversion = 3\nsearch_base = dc=example\n"
	for name, text := range map[string]string{
		"plain":    "bind = no\nquery_filter = (mail=%s)\nresult_attribute = description\n",
		"bound":    "bind = yes\nbind_dn = cn=admin,dc=example\nbind_pw = secret\nquery_filter = (&(mail=%u@%d)(uid=*))\nresult_attribute = description\nresult_format = <%s|%D>\n",
		"no paren": "bind = no\nquery_filter = mail=%s\nresult_attribute = description uid\n",
		"groups":   "bind = no\nquery_filter = (mail=%s)\nresult_attribute = uid\nleaf_result_attribute = description\nspecial_result_attribute = seeAlso, labeledURI\nterminal_result_attribute = street\n",
		"eligible": "bind = no\nquery_filter = (mail=%s)\nresult_attribute = description\ndomain = example.org\n",
		"one":      "bind = no\nscope = one\nquery_filter = (mail=%s)\nresult_attribute = description\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := configured(t)
			cf := filepath.Join(dir, "ldap.cf")
			write(t, cf, head+text)
			agree(t, opened(t, dir, "ldap:"+cf), postmap(t, dir, "ldap:"+cf, keys), keys)
		})
	}
	t.Run("STARTTLS", func(t *testing.T) {
		dir := configured(t)
		cf := filepath.Join(dir, "ldap.cf")
		text := "server_host = " + secure + "\nversion = 3\nsearch_base = dc=example\nstart_tls = yes\ntls_require_cert = yes\nbind_dn = cn=admin,dc=example\n" +
			"bind_pw = secret\nquery_filter = (mail=%s)\nresult_attribute = description\n"
		write(t, cf, text+"tls_ca_cert_file = "+ca+"\n")
		agree(t, opened(t, dir, "ldap:"+cf), postmap(t, dir, "ldap:"+cf, keys[:300]), keys[:300])
		write(t, cf, text)
		if _, found, err := opened(t, dir, "ldap:"+cf).Lookup(t.Context(), keys[0]); err == nil || found || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("an authority that is not known: %t, %v", found, err)
		}
	})
	t.Run("base of the key", func(t *testing.T) {
		dir := configured(t)
		cf := filepath.Join(dir, "ldap.cf")
		write(t, cf, strings.Replace(head, "search_base = ", "search_base = uid=%s,", 1)+"bind = no\nscope = base\nquery_filter = (mail=*)\nresult_attribute = description\n")
		asked := append(keys[:200:200], "u1", "u2", "u3", "u1,dc=example", "x,uid=u1")
		agree(t, opened(t, dir, "ldap:"+cf), postmap(t, dir, "ldap:"+cf, asked), asked)
	})
	t.Run("failures", func(t *testing.T) {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"recursion_limit": head + "bind = no\nquery_filter = (mail=%s)\nspecial_result_attribute = seeAlso\n",
			"search_base":     strings.Replace(head, "dc=example", "dc=none,dc=example", 1) + "bind = no\n",
			"expansion_limit": head + "bind = no\nexpansion_limit = 5\nsize_limit = 1000\nquery_filter = (|(mail=%s)(uid=*))\nresult_attribute = description\n",
			"Size Limit":      head + "bind = no\nsize_limit = 5\nquery_filter = (|(mail=%s)(uid=*))\nresult_attribute = description\n",
			"Invalid Cred":    head + "bind_dn = cn=admin,dc=example\nbind_pw = wrong\n",
		} {
			write(t, filepath.Join(dir, "x.cf"), text)
			if _, found, err := opened(t, dir, "ldap:x.cf").Lookup(t.Context(), "loop@example.org"); err == nil || found || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %t, %v", name, found, err)
			}
		}
	})
}

func TestMemcached(t *testing.T) {
	socket := memcached(t)
	keys, rows := keysAndRows(5)
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, row := range rows {
		key := "v:" + row[0]
		if strings.ContainsAny(key, " \t") || row[1] == "" {
			continue
		}
		fmt.Fprintf(c, "set %s 0 0 %d\r\n%s\r\n", key, len(row[1]), row[1])
		if said, err := r.ReadString('\n'); err != nil || said != "STORED\r\n" {
			t.Fatalf("%q: %q, %v", key, said, err)
		}
	}
	dir := configured(t)
	cf := filepath.Join(dir, "memcache.cf")
	write(t, cf, "memcache = unix:"+socket+"\nkey_format = v:%s\n")
	agree(t, opened(t, dir, "memcache:"+cf), postmap(t, dir, "memcache:"+cf, keys), keys)
}

func TestRedis(t *testing.T) {
	socket := redis(t)
	_, rows := keysAndRows(6)
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	want := map[string]string{}
	bulk := func(words ...string) {
		fmt.Fprintf(c, "*%d\r\n", len(words))
		for _, w := range words {
			fmt.Fprintf(c, "$%d\r\n%s\r\n", len(w), w)
		}
		if said, err := r.ReadString('\n'); err != nil || said != "+OK\r\n" {
			t.Fatalf("%q: %q, %v", words, said, err)
		}
	}
	bulk("AUTH", "secret")
	bulk("SELECT", "3")
	for _, row := range append(rows, [2]string{"jörg@example.org", "möglich"}) {
		bulk("SET", "v:"+row[0], row[1])
		if want[row[0]] = row[1]; row[1] == "" {
			delete(want, row[0])
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "redis.cf"), "hosts = unix:"+socket+"\npassword = secret\ndb = 3\nkey_format = v:%s\n")
	ours := opened(t, dir, "redis:redis.cf")
	for key, value := range want {
		if got, found, err := ours.Lookup(t.Context(), strings.ToUpper(key)); err != nil || !found || got != value {
			t.Errorf("%q: %q, %t, %v; want %q", key, got, found, err, value)
		}
	}
	if _, found, err := ours.Lookup(t.Context(), "nobody@nowhere.test"); err != nil || found {
		t.Errorf("a key that is not there: %t, %v", found, err)
	}
	write(t, filepath.Join(dir, "wrong.cf"), "hosts = unix:"+socket+"\npassword = wrong\n")
	if _, _, err := opened(t, dir, "redis:wrong.cf").Lookup(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("a wrong password: %v", err)
	}
}

// TestSocketServices asks small servers of tcp_table(5) and socketmap_table(5), with Postfix's postmap and ours.
func TestSocketServices(t *testing.T) {
	keys, rows := keysAndRows(7)
	values := map[string]string{}
	for _, r := range rows {
		if r[1] != "" { // postmap prints an empty answer; to Postfix's programs it is an error, and to ours
			values[r[0]] = r[1]
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go accept(l, func(c net.Conn) {
		for in := bufio.NewScanner(c); in.Scan(); {
			key, ok := strings.CutPrefix(in.Text(), "get ")
			if value, has := values[percentDecoded(key)]; ok && has {
				fmt.Fprintf(c, "200 %s\n", strings.NewReplacer("%", "%25", " ", "%20").Replace(value))
			} else {
				fmt.Fprintf(c, "500 no such key\n")
			}
		}
	})
	dir := configured(t)
	name := "tcp:" + l.Addr().String()
	agree(t, opened(t, dir, name), postmap(t, dir, name, keys), keys)

	m, err := net.Listen("unix", filepath.Join(folder(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	go accept(m, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			var n int
			if _, err := fmt.Fscanf(in, "%d:", &n); err != nil || n > 1e5 {
				return
			}
			request := make([]byte, n+1)
			if _, err := in.Read(request); err != nil {
				return
			}
			which, key, _ := strings.Cut(string(request[:n]), " ")
			said := "NOTFOUND "
			if value, has := values[key]; has && which == "virtual" {
				said = "OK " + value
			}
			fmt.Fprintf(c, "%d:%s,", len(said), said)
		}
	})
	name = "socketmap:unix:" + m.Addr().String() + ":virtual"
	agree(t, opened(t, dir, name), postmap(t, dir, name, keys), keys)
}

func accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

func percentDecoded(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		var c byte
		if s[i] == '%' && i+2 < len(s) {
			if _, err := fmt.Sscanf(s[i+1:i+3], "%02x", &c); err == nil {
				out.WriteByte(c)
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// TestOutage: each kind of server that is not there is a temporary failure.
func TestOutage(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	write(t, filepath.Join(dir, "sql.cf"), "hosts = unix:"+none+" unix:"+none+"2\nuser = x\npassword = x\ndbname = x\nquery = SELECT '%s'\n")
	write(t, filepath.Join(dir, "ldap.cf"), "server_host = ldapi://"+strings.ReplaceAll(none, "/", "%2F")+"\nsearch_base = dc=x\n")
	write(t, filepath.Join(dir, "redis.cf"), "hosts = unix:"+none+"\n")
	write(t, filepath.Join(dir, "memcache.cf"), "memcache = unix:"+none+"\n")
	for _, name := range []string{"pgsql:sql.cf", "mysql:sql.cf", "ldap:ldap.cf", "redis:redis.cf", "memcache:memcache.cf", "socketmap:unix:" + none + ":x", "tcp:127.0.0.1:1"} {
		if _, found, err := opened(t, dir, name).Lookup(context.Background(), "a@example.org"); err == nil || found {
			t.Errorf("%s: %t, %v", name, found, err)
		}
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("something was written")
	}
}
