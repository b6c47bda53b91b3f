package tables

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// TestServer: a running server asks a database for its aliases and a socketmap for its access rules. What goes down is a temporary
// failure, a file that is wrong refuses the reload, and postmap asks the same tables.
func TestServer(t *testing.T) {
	dir := folder(t)
	db := filepath.Join(dir, "mail.db")
	run(t, "CREATE TABLE alias (address, goto); INSERT INTO alias VALUES ('info@here.example', 'alice@here.example'), ('o''neil@here.example', 'bob@here.example');", "sqlite3", db)
	cf := filepath.Join(dir, "alias.cf")
	write(t, cf, "dbpath = "+db+"\nquery = SELECT goto FROM alias WHERE address = '%s'\n")
	socket := filepath.Join(dir, "map")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]string{"evil@far.example": "REJECT not you", "far.example": "DUNNO"}
	down := make(chan struct{})
	go accept(l, func(c net.Conn) {
		go func() { // a server that dies takes its connections with it
			<-down
			c.Close()
		}()
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
			_, key, _ := strings.Cut(string(request[:n]), " ")
			said := "NOTFOUND "
			if value, has := rules[key]; has {
				said = "OK " + value
			}
			fmt.Fprintf(c, "%d:%s,", len(said), said)
		}
	})
	s := system.Start(t, system.Options{Set: []string{
		`routing.virtual_alias_maps=["proxy:sqlite:` + cf + `"]`,
		`access.smtp.smtpd_sender_restrictions=["check_sender_access socketmap:unix:` + socket + `:access"]`}})
	conn, err := net.Dial("tcp", s.Listeners["smtp"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	say := func(line, want string) {
		t.Helper()
		if line != "" {
			fmt.Fprintf(conn, "%s\r\n", line)
		}
		for {
			got, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if len(got) > 3 && got[3] == ' ' {
				if !strings.HasPrefix(got, want) {
					t.Errorf("%s: %swant %s", line, got, want)
				}
				return
			}
		}
	}
	say("", "220")
	say("EHLO mx.far.example", "250")
	say("MAIL FROM:<good@far.example>", "250")
	say("RCPT TO:<INFO@here.example>", "250")
	say("RCPT TO:<o'neil@here.example>", "250")
	say("RCPT TO:<nobody@here.example>", "550 5.1.1")
	say("DATA", "354")
	say("Subject: by alias\r\n\r\nHello.\r\n.", "250")
	s.Await(t, s.Alice, "INBOX", 1)
	s.Await(t, s.Bob, "INBOX", 1)
	say("MAIL FROM:<evil@far.example>", "250")
	say("RCPT TO:<info@here.example>", "554 5.7.1 <evil@far.example>: Sender address rejected: not you")
	say("RSET", "250")

	// The server of the access rules goes down: nobody is let in, and nobody refused for good.
	l.Close()
	close(down)
	say("MAIL FROM:<good@far.example>", "250")
	say("RCPT TO:<info@here.example>", "451 4.3.")
	say("RSET", "250")

	// A wrong file refuses the reload; the aliases stay as they were.
	write(t, cf, "dbpath = "+db+"\nqeury = SELECT goto FROM alias WHERE address = '%s'\n")
	if err := syscall.Kill(s.Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); !strings.Contains(s.Log(1<<20), "is query meant?"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the reload said nothing of the wrong file")
		}
	}
	binary := system.Binary(t)
	if got := system.Run(t, system.Command{Name: binary, Args: []string{"postmap", "-q", "info@here.example", "sqlite:" + cf}, Code: 1}); !strings.Contains(got.Stderr, "alias.cf: line 2: there is no parameter") {
		t.Errorf("postmap of a wrong file: %s", got.Stderr)
	}
	write(t, cf, "dbpath = "+db+"\nquery = SELECT goto FROM alias WHERE address = '%s'\n")
	if got := system.Run(t, system.Command{Name: binary, Args: []string{"postmap", "-q", "O'Neil@here.example", "proxy:sqlite:" + cf}}); got.Stdout != "bob@here.example\n" {
		t.Errorf("postmap: %q", got.Stdout)
	}
}
