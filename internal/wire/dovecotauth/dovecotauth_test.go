package dovecotauth

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// directory has one user, and one whose password cannot be checked now. It remembers where logins came from.
type directory struct{ origins chan sasl.Origin }

func (d directory) Password(ctx context.Context, name, password string) (sasl.Identity, error) {
	d.origins <- sasl.OriginOf(ctx)
	switch {
	case name == "later":
		return sasl.Identity{}, status.Temp(454, 7, 0, "Too many logins")
	case name == "user" && password == "pencil":
		return sasl.Identity{Account: 7, Name: "user@example.test"}, nil
	}
	return sasl.Identity{}, sasl.ErrCredentials
}

func (directory) Keys(context.Context, string) (sasl.Keys, sasl.Identity, error) {
	k, err := sasl.DeriveKeys("pencil", []byte("saltsalt"), 4096)
	return k, sasl.Identity{Account: 7, Name: "user@example.test"}, err
}

// client is the other side.
type client struct {
	net.Conn
	r *bufio.Reader
}

func (c *client) send(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
}

func (c *client) line(t *testing.T) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := c.r.ReadString('\n')
	if err != nil {
		t.Fatalf("after %q: %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

func dial(t *testing.T, cfg Config) (*client, directory) {
	t.Helper()
	d := directory{make(chan sasl.Origin, 1000)}
	cfg.Auth = sasl.NewServer(d, sasl.Options{})
	s := New(cfg)
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); s.ServeConn(context.Background(), far) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		near.Close()
		<-done
	})
	c := &client{near, bufio.NewReader(near)}
	for _, want := range []string{"VERSION\t1\t2", "MECH\tSCRAM-SHA-256\tmutual-auth", "MECH\tPLAIN\tplaintext", "MECH\tLOGIN\tplaintext", "SPID\t", "CUID\t1", "COOKIE\t", "DONE"} {
		if got := c.line(t); !strings.HasPrefix(got, want) {
			t.Fatalf("greeted with %q, want %q", got, want)
		}
	}
	return c, d
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestRequests(t *testing.T) {
	c, d := dial(t, Config{})
	c.send(t, "VERSION\t1\t1\nCPID\t42")
	const params = "\tservice=smtp\tnologin\tlip=192.0.2.25\trip=198.51.100.7\tlport=587\trport=4025\tsecured"
	for _, s := range []struct{ send, want string }{
		{"AUTH\t1\tPLAIN" + params + "\tresp=" + b64("\x00user\x00pencil"), "OK\t1\tuser=user@example.test"},
		{"AUTH\t2\tPLAIN" + params + "\tresp=" + b64("\x00user\x00pen"), "FAIL\t2"},
		{"AUTH\t3\tPLAIN" + params + "\tresp=" + b64("\x00later\x00x"), "FAIL\t3\ttemp\tcode=temp_fail\treason=Too many logins"},
		{"AUTH\t4\tplain" + params, "CONT\t4\t"},
		{"CONT\t4\t" + b64("\x00user\x00pencil"), "OK\t4\tuser=user@example.test"},
		{"AUTH\t5\tLOGIN" + params + "\tresp=", "CONT\t5\t" + b64("Username:")},
		{"CONT\t5\t" + b64("user"), "CONT\t5\t" + b64("Password:")},
		{"CONT\t5\t" + b64("pencil"), "OK\t5\tuser=user@example.test"},
		{"AUTH\t6\tLOGIN" + params, "CONT\t6\t" + b64("Username:")},
		{"CANCEL\t6", "FAIL\t6\treason=Authentication cancelled"},
		{"AUTH\t7\tLOGIN" + params, "CONT\t7\t" + b64("Username:")},
		{"CONT\t7\t!!", "FAIL\t7\treason=Authentication cancelled"},
		{"AUTH\t8\tCRAM-MD5" + params, "FAIL\t8\treason=Unrecognized authentication mechanism"},
		{"AUTH\t9\tPLAIN" + params + "\tresp=!!", "FAIL\t9\treason=Cannot decode base64"},
		{"AUTH\t10\tPLAIN\tservice=smtp\tresp=" + b64("\x00user\x00pencil"), "FAIL\t10\treason=Authentication needs TLS"},
		{"CONT\t11\t", "FAIL\t11\treason=No such request"},
	} {
		c.send(t, s.send)
		if got := c.line(t); got != s.want {
			t.Errorf("%q\n got %q\nwant %q", s.send, got, s.want)
		}
	}
	want := sasl.Origin{Remote: netip.MustParseAddrPort("198.51.100.7:4025"), Local: netip.MustParseAddrPort("192.0.2.25:587"), Service: "smtp", Session: 1, TLS: "TLS"}
	if o := <-d.origins; o != want {
		t.Errorf("origin %+v", o)
	}
}

// Requests do not wait for each other, and there is a bound.
func TestManyRequests(t *testing.T) {
	c, _ := dial(t, Config{Plaintext: true})
	c.send(t, "VERSION\t1\t1")
	for id := 1; id <= maxRequests; id++ {
		c.send(t, fmt.Sprintf("AUTH\t%d\tLOGIN", id))
		c.line(t)
	}
	c.send(t, "AUTH\t5000\tLOGIN")
	if got := c.line(t); got != "FAIL\t5000\ttemp\tcode=temp_fail\treason=Too many logins at once" {
		t.Errorf("one too many: %q", got)
	}
	for id := maxRequests; id > 0; id-- {
		c.send(t, fmt.Sprintf("CONT\t%d\t%s", id, b64("user")))
		c.line(t)
		c.send(t, fmt.Sprintf("CONT\t%d\t%s", id, b64("pencil")))
		if got := c.line(t); got != fmt.Sprintf("OK\t%d\tuser=user@example.test", id) {
			t.Fatal(got)
		}
	}
}

func TestRefusedByTheSystem(t *testing.T) {
	c, _ := dial(t, Config{Plaintext: true, LoggedIn: func(sasl.Origin, sasl.Identity, string) error { return status.Temp(454, 7, 0, "Too many connections") }})
	c.send(t, "VERSION\t1\t1\nAUTH\t1\tPLAIN\tresp="+b64("\x00user\x00pencil"))
	if got := c.line(t); got != "FAIL\t1\ttemp\tcode=temp_fail\treason=Too many connections" {
		t.Error(got)
	}
}

// What is not the protocol ends the connection.
func TestBroken(t *testing.T) {
	for _, text := range []string{"AUTH\t1\tPLAIN", "VERSION\t2\t0", "EHLO x", "VERSION\t1\t1\nAUTH\t0\tPLAIN", "VERSION\t1\t1\nAUTH\tx\tPLAIN", "VERSION\t1\t1\nAUTH\t1",
		"VERSION\t1\t1\nAUTH\t1\tPLAIN\t" + strings.Repeat("\t", maxFields), "VERSION\t1\t1\nCPID\t" + strings.Repeat("1", maxLine),
		"VERSION\t1\t1\nCONT\t1", "VERSION\t1\t1\nCANCEL"} {
		c, _ := dial(t, Config{})
		go func() { _, _ = io.WriteString(c, text+"\n") }()
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if rest, err := io.ReadAll(c.r); err != nil || len(rest) != 0 {
			t.Errorf("%.40q: %q, %v", text, rest, err)
		}
	}
}

// Over IP only those who may are served at all.
func TestStrangers(t *testing.T) {
	s := New(Config{Auth: sasl.NewServer(directory{}, sasl.Options{}), Trusted: netip.MustParsePrefix("127.0.0.2/32").Contains})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(ctx, l) }()
	for from, served := range map[string]bool{"127.0.0.1": false, "127.0.0.2": true} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		line, _ := bufio.NewReader(c).ReadString('\n')
		if (line != "") != served {
			t.Errorf("from %s: %q", from, line)
		}
		c.Close()
	}
	stop()
	<-ended
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A value that was escaped comes back; a request is what its fields say.
func FuzzRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, line string) {
		if unescape(escape(line)) != line || strings.ContainsAny(escape(line), "\x00\t\r\n") {
			t.Fatalf("%q is written %q", line, escape(line))
		}
		fields := strings.SplitN(line, "\t", maxFields)
		if r, err := parseAuth(fields); err == nil && (r.id == 0 || r.mech == "" || r.remote.Addr().Zone() != "") {
			t.Fatalf("%+v", r)
		}
		if r, err := parseCont(fields); err == nil && (r.id == 0 || r.response == nil) {
			t.Fatalf("%+v", r)
		}
	})
}
