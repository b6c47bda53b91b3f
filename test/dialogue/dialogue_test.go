package dialogue

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func shout(config *tls.Config) func(net.Conn) {
	return func(c net.Conn) {
		defer func() { c.Close() }()
		fmt.Fprintf(c, "hello\r\n")
		in := bufio.NewScanner(c)
		for {
			c.SetReadDeadline(time.Now().Add(10 * time.Minute))
			if !in.Scan() {
				if os.IsTimeout(in.Err()) {
					fmt.Fprintf(c, "bye\r\n")
				}
				return
			}
			fmt.Fprintf(c, "%s\r\n", strings.ToUpper(strings.TrimRight(in.Text(), "\r")))
			if in.Text() == "starttls" {
				c = tls.Server(c, config)
				in = bufio.NewScanner(c)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	server, _ := TLS(t)
	Files(t, "testdata/*.txt", func(*testing.T) func(net.Conn) { return shout(server) })
}

// recorder catches the failure that a script must produce.
type recorder struct {
	testing.TB
	got string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(f string, a ...any) {
	r.got = fmt.Sprintf(f, a...)
	panic(r)
}

func TestFailuresNameTheLine(t *testing.T) {
	for script, want := range map[string]string{
		"S: hello\nC: a\nS: B":               "x:3: S: B\ngot: A",
		"S: hello\nC: a\nS: /B+/":            "x:3: S: /B+/\ngot: A",
		"S: hello\n\nhm":                     "x:3: hm\nnot a directive",
		"S: hello\nS-close":                  "x:2: S-close\nstill open",
		"C: a\nS-close":                      "x:2: S-close\nstill talking",
		"S: hello\nC: a\nsleep 1s\nS-silent": "x:4: S-silent\ngot: A",
		"S: hello\nS: more":                  "x:2: S: more\ngot \"\", then i/o timeout",
		"C-tls":                              "x:1: C-tls",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{TB: t}
			func() {
				defer func() {
					if p := recover(); p != nil && p != any(r) {
						panic(p)
					}
				}()
				Play(r, Script{Name: "x", Text: script, Serve: shout(nil)})
			}()
			if !strings.HasPrefix(r.got, want) {
				t.Errorf("%q: %q, want %q", script, r.got, want)
			}
		})
	}
}

func TestPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		want := bytes.Repeat([]byte("0123456789abcdef0"), 3*capacity/16)
		go func() { // more than the buffer: the writer must wait and wrap around
			for chunk := want; len(chunk) > 0; {
				n := min(len(chunk), 7001)
				a.Write(chunk[:n])
				chunk = chunk[n:]
			}
			a.Close()
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(want), err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Fatalf("write to a closed peer: %v", err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("read after own close: %v", err)
		}
	})
}

func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		start := time.Now()
		a.SetReadDeadline(start.Add(5 * time.Minute))
		if _, err := a.Read(make([]byte, 1)); !os.IsTimeout(err) || time.Since(start) != 5*time.Minute {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		a.SetReadDeadline(time.Time{})
		b.Write([]byte("y"))
		if _, err := a.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write(make([]byte, capacity+1)); !os.IsTimeout(err) || n != capacity {
			t.Fatalf("%d %v", n, err)
		}
		a.Close()
		b.Close()
	})
}

func TestListener(t *testing.T) {
	l := Listen()
	client, err := l.DialFrom(net.IPv4(198, 51, 100, 7))
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil || server.RemoteAddr().(*net.TCPAddr).IP.String() != "198.51.100.7" {
		t.Fatal(server, err)
	}
	client.Close()
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := l.Dial(); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}
