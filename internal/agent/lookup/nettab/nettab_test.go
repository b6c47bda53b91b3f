package nettab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/decide/table"
)

func env() mapconf.Env {
	return mapconf.Env{Now: time.Now, Intn: func(int) int { return 0 }, Open: func(string) (table.List, error) {
		s, err := table.Inline("{k=backup}")
		return table.List{s}, err
	}}
}

// server runs say for each connection to a socket of loopback.
func server(t testing.TB, say func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				say(c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return l.Addr().String()
}

// tables are the tables of all kinds that ask one server.
func tables(t *testing.T, address string) map[string]table.Table {
	t.Helper()
	all := map[string]table.Table{}
	var errs [4]error
	all["tcp"], errs[0] = TCP(address, env())
	all["socketmap"], errs[1] = Socketmap("inet:"+address+":virtual", env())
	all["memcache"], _, errs[2] = Memcache("memcache = inet:"+address, env())
	all["redis"], _, errs[3] = Redis("hosts = "+address, env())
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range all {
		one.(*Table).timeout = 100 * time.Millisecond
		t.Cleanup(func() { _ = one.(*Table).Close() })
	}
	return all
}

// TestHostileServers: whatever a server does, the answer is a failure, in time and within bounds.
func TestHostileServers(t *testing.T) {
	for name, say := range map[string]func(net.Conn){
		"hangs":  func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"closes": func(c net.Conn) {},
		"floods": func(c net.Conn) {
			for {
				if _, err := c.Write(bytes.Repeat([]byte("9"), 1<<16)); err != nil {
					return
				}
			}
		},
		"drips": func(c net.Conn) {
			for _, b := range []byte(strings.Repeat("1", 1000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		},
		"rubbish":       func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"half a reply":  func(c net.Conn) { _, _ = c.Write([]byte("$10\r\nabc")) },
		"a huge length": func(c net.Conn) { _, _ = c.Write([]byte("$99999999999\r\n")) },
	} {
		for kind, one := range tables(t, server(t, say)) {
			if value, found, err := one.Lookup(t.Context(), "k"); err == nil || found || value != "" {
				t.Errorf("%s, %s: %q, %t, %v", name, kind, value, found, err)
			}
		}
	}
}

// TestGoneClient: who has hung up is not waited for.
func TestGoneClient(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{}, 10)
	address := server(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 10))
		asked <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	go func() {
		<-asked
		cancel()
	}()
	one := tables(t, address)["tcp"].(*Table)
	one.timeout = time.Hour
	if _, _, err := one.Lookup(ctx, "k"); err == nil {
		t.Error("an answer of a server that hangs")
	}
	if hosts := one.pool.Hosts; len(hosts) != 1 {
		t.Errorf("hosts: %v", hosts)
	}
}

// TestReplies: each protocol's replies, and what they mean.
func TestReplies(t *testing.T) {
	for _, c := range []struct{ kind, reply, want string }{
		{"tcp", "200 a%20b\n", "a b"}, {"tcp", "500 none\n", "-"}, {"tcp", "400 later\n", "!later"}, {"tcp", "200 \n", "!empty"},
		{"tcp", "200 a%2\n", "!percent"}, {"tcp", "300 x\n", "!no reply of tcp"}, {"tcp", "200 a\n200 b\n", "!single"}, {"tcp", "200 é\n", "é"},
		{"socketmap", "4:OK x,", "x"}, {"socketmap", "9:NOTFOUND ,", "-"}, {"socketmap", "8:TEMP now,", "!TEMP"}, {"socketmap", "9:PERM ever,", "!PERM"},
		{"socketmap", "12:TIMEOUT slow,", "!TIMEOUT"}, {"socketmap", "04:OK x,", "!netstring"}, {"socketmap", "4:OK x;", "!netstring"},
		{"socketmap", "999999999:", "!longer than"}, {"socketmap", "3:OK ,", "!empty"}, {"socketmap", "5:HELLO,", "!no reply of socketmap"},
		{"memcache", "VALUE k 0 3\r\na,b\r\nEND\r\n", "a,b"}, {"memcache", "END\r\n", "-"}, {"memcache", "SERVER_ERROR full\r\n", "!full"},
		{"memcache", "VALUE other 0 1\r\na\r\nEND\r\n", "!no reply of memcached"}, {"memcache", "VALUE k 0 99999\r\n", "!data_size_limit"},
		{"memcache", "VALUE k 0 1\r\na\r\nEND\r\nEND\r\n", "!single"}, {"memcache", "VALUE k 0 -1\r\n", "!no reply"}, {"memcache", "VALUE k 0 1\r\nabcdefghijk", "!no reply"},
		{"redis", "$3\r\na\nb\r\n", "a\nb"}, {"redis", "$-1\r\n", "-"}, {"redis", "-ERR no\r\n", "!ERR no"}, {"redis", "$0\r\n\r\n", "-"},
		{"redis", ":1\r\n", "!no reply of Redis"}, {"redis", "$2\r\nabc\r\n", "!no reply"}, {"redis", "\r\n", "!no reply"}, {"redis", "$99999\r\n", "!data_size_limit"},
	} {
		address := server(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte(c.reply))
		})
		value, found, err := tables(t, address)[c.kind].Lookup(t.Context(), "K")
		if wrong, ok := strings.CutPrefix(c.want, "!"); ok {
			if err == nil || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%s %q: %q, %t, %v; want an error with %q", c.kind, c.reply, value, found, err, wrong)
			}
			continue
		}
		if !found {
			value = "-"
		}
		if err != nil || value != c.want {
			t.Errorf("%s %q: %q, %v; want %q", c.kind, c.reply, value, err, c.want)
		}
	}
}

// TestRequests: what a key becomes, and keys that cannot be asked for.
func TestRequests(t *testing.T) {
	requests := make(chan string, 100)
	address := server(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		n, _ := c.Read(buf)
		requests <- string(buf[:n])
	})
	for _, c := range []struct{ kind, key, want string }{
		{"tcp", "A b%\n", "get A%20b%25%0A\n"}, {"tcp", strings.Repeat("%", 2000), ""}, {"tcp", "", ""},
		{"socketmap", "A b", "11:virtual A b,"}, {"memcache", "A", "get a\r\n"}, {"memcache", "a b", ""}, {"memcache", "a\r\nset x 0 0 1\r\n1", ""},
		{"memcache", strings.Repeat("x", 251), ""}, {"redis", "A\r\nDEL", "*2\r\n$3\r\nGET\r\n$6\r\na\r\ndel\r\n"}, {"redis", "\xff", ""},
	} {
		_, found, err := tables(t, address)[c.kind].Lookup(t.Context(), c.key)
		if c.want == "" {
			if found || err != nil || len(requests) > 0 {
				t.Errorf("%s %.20q: asked, or %t, %v", c.kind, c.key, found, err)
			}
			continue
		}
		if got := <-requests; got != c.want {
			t.Errorf("%s: %q, want %q", c.kind, got, c.want)
		}
	}
}

// TestBackup: a cache that is down, or does not know, leaves the question to the table behind it.
func TestBackup(t *testing.T) {
	for _, reply := range []string{"END\r\n", "SERVER_ERROR x\r\n", "rubbish\r\n"} {
		address := server(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 100))
			_, _ = c.Write([]byte(reply))
		})
		cache, _, err := Memcache("memcache = "+address+"\nbackup = hash:/x\n", env())
		if err != nil {
			t.Fatal(err)
		}
		if value, found, err := cache.Lookup(t.Context(), "k"); err != nil || !found || value != "backup" {
			t.Errorf("%q: %q, %t, %v", reply, value, found, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", "x", "inet:h:1", "inet:h:1:", "unix:rel:x", "tls:h:1:x", "inet:h:1:a b"} {
		if _, err := Socketmap(name, env()); err == nil {
			t.Errorf("socketmap:%s is taken", name)
		}
	}
	for _, name := range []string{"", "host", ":1", "host:"} {
		if _, err := TCP(name, env()); err == nil {
			t.Errorf("tcp:%s is taken", name)
		}
	}
}

// FuzzReplies: any bytes of a server, to any protocol: bounded, and an answer only if it is in them.
func FuzzReplies(f *testing.F) {
	f.Fuzz(func(t *testing.T, kind byte, reply []byte) {
		rw := func() *bufio.ReadWriter {
			return bufio.NewReadWriter(bufio.NewReaderSize(bytes.NewReader(reply), 1024), bufio.NewWriter(io.Discard))
		}
		var value string
		var found bool
		var err error
		switch kind % 4 {
		case 0:
			value, found, err = askTCP(rw(), "k")
		case 1:
			value, found, err = askSocketmap(rw(), "x k")
		case 2:
			value, found, err = askMemcache(rw(), "k", 100)
		case 3:
			value, found, err = redisCommand(rw(), 100, "GET", "k")
		}
		switch {
		case err != nil && (found || value != ""):
			t.Fatalf("an answer and a failure: %q, %v", value, err)
		case !found && value != "":
			t.Fatalf("%q is not found", value)
		case found && kind%4 != 0 && !bytes.Contains(reply, []byte(value)):
			t.Fatalf("%q is not in %q", value, reply)
		case len(value) > maxSocketmap:
			t.Fatal("unbounded")
		}
		if kind%4 == 0 {
			if decoded, err := decodeTCP(encodeTCP(string(reply))); err != nil || decoded != string(reply) {
				t.Fatalf("%q becomes %q, %v", reply, decoded, err)
			}
		}
	})
}

func ExampleTCP() {
	_, err := TCP("localhost", mapconf.Env{})
	fmt.Println(err)
	// Output: expected is tcp:host:port
}

// BenchmarkSocketmap is one question over loopback.
func BenchmarkSocketmap(b *testing.B) {
	address := server(b, func(c net.Conn) {
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := io.WriteString(c, "4:OK x,"); err != nil {
				return
			}
		}
	})
	one, err := Socketmap("inet:"+address+":virtual", env())
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
