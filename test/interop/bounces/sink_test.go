package bounces

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 30 * time.Second

// report is a message that came to the sink.
type report struct{ from, to, mail, text string }

// sink is a next hop for everything. It refuses recipients whose local part begins with no or full, and has no DSN.
type sink struct {
	hop string // as relayhost names it
	mu  sync.Mutex
	got []report
}

func listen(t *testing.T) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &sink{hop: fmt.Sprintf("[127.0.0.1]:%d", l.Addr().(*net.TCPAddr).Port)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *sink) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	in, now := bufio.NewScanner(c), report{}
	fmt.Fprint(c, "220 next.example ESMTP\r\n")
	for in.Scan() {
		answer := "250 2.0.0 Ok"
		verb, rest, _ := strings.Cut(in.Text(), ":")
		_, path, _ := strings.Cut(rest, "<")
		path, params, _ := strings.Cut(path, ">")
		switch strings.ToUpper(strings.Fields(verb + " x")[0]) {
		case "EHLO":
			answer = "250-next.example\r\n250-8BITMIME\r\n250 SMTPUTF8"
		case "MAIL":
			now = report{from: path, mail: params}
		case "RCPT":
			switch {
			case strings.HasPrefix(path, "no"):
				answer = "550-5.1.1 <" + path + ">: no such\r\n550 5.1.1 user here"
			case strings.HasPrefix(path, "full"):
				answer = "552 5.2.2 mailbox full"
			default:
				now.to = path
			}
		case "DATA":
			if now.to == "" {
				answer = "554 5.5.1 no recipients"
				break
			}
			fmt.Fprint(c, "354 go on\r\n")
			for in.Scan() && in.Text() != "." {
				now.text += strings.TrimPrefix(in.Text(), ".") + "\r\n"
			}
			s.mu.Lock()
			s.got = append(s.got, now)
			s.mu.Unlock()
		case "QUIT":
			fmt.Fprint(c, "221 2.0.0 Bye\r\n")
			return
		}
		fmt.Fprint(c, answer+"\r\n")
	}
}

// await is the report to an address; about what is empty, any.
func (s *sink) await(t *testing.T, to string) report {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		for _, r := range s.got {
			if r.to == to && strings.Contains(r.text, "multipart/report") {
				s.mu.Unlock()
				return r
			}
		}
		n := len(s.got)
		s.mu.Unlock()
		if time.Now().After(end) {
			t.Fatalf("no report to %s among %d messages", to, n)
		}
	}
}
