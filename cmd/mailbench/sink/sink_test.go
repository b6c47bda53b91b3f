package sink

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/cmd/mailbench/load"
)

// memory is a connection that reads what a test has prepared and keeps what is written.
type memory struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (m *memory) Read(b []byte) (int, error)    { return m.in.Read(b) }
func (m *memory) Write(b []byte) (int, error)   { return m.out.Write(b) }
func (m *memory) SetDeadline(_ time.Time) error { return nil }

// talk plays a whole client's side.
func talk(in []byte) (replies string, arrivals []Arrival) {
	s := &Server{arrived: func(a Arrival) { arrivals = append(arrivals, a) }}
	m := &memory{in: bytes.NewReader(in)}
	k := &session{Conn: m, server: s, r: bufio.NewReaderSize(m, maxLine)}
	k.serve()
	return m.out.String(), arrivals
}

func codes(replies string) string {
	var list []string
	for line := range strings.Lines(replies) {
		if len(line) > 3 && line[3] == ' ' {
			list = append(list, line[:3])
		}
	}
	return strings.Join(list, " ")
}

const (
	stamp = "0000000a0001000000000007"
	begin = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u1@far.example> NOTIFY=NEVER\r\nRCPT TO:<U2@far.example>\r\nDATA\r\n"
)

func text(lines string) string {
	return fmt.Sprintf("Received: by x\r\n\tid y\r\nMessage-ID: <%s%s>\r\n%s: %08x\r\n\r\n%s\r\n", stamp, load.IDDomain, load.SumHeader, load.Sum([]byte(lines)), stamp)
}

func TestAMessageIsRecognisedAndChecked(t *testing.T) {
	for _, c := range []struct {
		name, body string
		stamp      string
		intact     bool
	}{
		{"as sent", text("one\r\n.two\r\n") + "one\r\n..two\r\n.\r\n", stamp, true},
		{"a line lost", text("one\r\ntwo\r\n") + "one\r\n.\r\n", stamp, false},
		{"a space more", text("one\r\n") + "one \r\n.\r\n", stamp, false},
		{"another's body", strings.Replace(text("one\r\n"), "\r\n"+stamp, "\r\n0000000a0001000000000008", 1) + "one\r\n.\r\n", stamp, false},
		{"a bounce", "Message-ID: <1@x.example>\r\n\r\n" + stamp + "\r\n.\r\n", "", false},
		{"not a stamp", "Message-ID: <xyz@mailbench.invalid>\r\n\r\nx\r\n.\r\n", "", false},
	} {
		replies, arrivals := talk([]byte(begin + c.body + "QUIT\r\n"))
		if got := codes(replies); got != "220 250 250 250 250 354 250 221" || len(arrivals) != 1 {
			t.Errorf("%s: %s, %d arrivals", c.name, got, len(arrivals))
			continue
		}
		a := arrivals[0]
		if a.Stamp != c.stamp || a.Intact != c.intact || strings.Join(a.Recipients, " ") != "u1@far.example U2@far.example" {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
}

func TestCommandsOutOfOrderAreRefused(t *testing.T) {
	replies, arrivals := talk([]byte("RCPT TO:<a@b>\r\nDATA\r\nMAIL FROM:<>\r\nRCPT TO:b\r\nDATA\r\nRSET\r\nDATA\r\nSTARTTLS\r\nNOOP\r\nVRFY a\r\n"))
	if got := codes(replies); got != "220 503 503 250 501 503 250 503 502 250 252" || len(arrivals) != 0 {
		t.Errorf("%s", got)
	}
	long := "EHLO " + strings.Repeat("a", maxLine) + "\r\nNOOP\r\n"
	if got, _ := talk([]byte(long)); codes(got) != "220 500" {
		t.Errorf("a long line: %q", codes(got))
	}
}

// An unfinished message is nobody's.
func TestABrokenConnectionIsNoArrival(t *testing.T) {
	if _, arrivals := talk([]byte(begin + text("one\r\n") + "one\r\n")); len(arrivals) != 0 {
		t.Errorf("%d arrivals", len(arrivals))
	}
}

func TestServerTakesMailAndCloses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	intact := 0
	s := Serve(l, time.Microsecond, func(a Arrival) {
		mu.Lock()
		defer mu.Unlock()
		if a.Intact {
			intact += len(a.Recipients)
		}
	})
	res, err := load.Run(t.Context(), load.Config{Addr: l.Addr().String(), Sessions: 3, Messages: 30, Sizes: []int{600, 70_000},
		Recipients: []string{"a@far.example", "b@far.example"}, PerMessage: 2}, nil)
	if err != nil || res.Recipients != 60 {
		t.Errorf("%v %+v", err, res)
	}
	idle, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	bufio.NewReader(idle).ReadString('\n')
	if err := s.Close(); err != nil || intact != 60 {
		t.Errorf("%v, %d intact", err, intact)
	}
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
}

// FuzzSession plays any client: each reply is well formed, there is no arrival without its end of data, and what
// arrives has recipients.
func FuzzSession(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		replies, arrivals := talk(in)
		if ends := bytes.Count(in, []byte("\n.")); len(arrivals) > ends {
			t.Fatalf("%d arrivals of %d ends of data", len(arrivals), ends)
		}
		for _, a := range arrivals {
			if len(a.Recipients) == 0 || a.Intact && a.Stamp == "" {
				t.Fatalf("%+v", a)
			}
		}
		for line := range strings.Lines(replies) {
			if len(line) < 6 || line[0] < '2' || line[0] > '5' || line[3] != ' ' && line[3] != '-' || !strings.HasSuffix(line, "\r\n") {
				t.Fatalf("reply %q", line)
			}
		}
	})
}
