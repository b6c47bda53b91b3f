package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a small SMTP server whose answers a test can choose.
type server struct {
	t        *testing.T
	offers   string // of EHLO, after the name
	answer   func(command string) string
	cert     *tls.Certificate
	mu       sync.Mutex
	messages [][]byte
	commands []string
}

func (s *server) listen() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(c) })
		}
	})
	s.t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	rcpts := 0
	fmt.Fprint(c, "220-mx.example.test\r\n220 at your service\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		text := "250 2.0.0 done"
		if a := s.choose(line); a != "" {
			text = a
		} else if verb == "DATA" {
			text = "354 go on"
		}
		switch verb {
		case "EHLO", "LHLO":
			text = "250-mx.example.test\r\n" + s.offers + "250 HELP"
			rcpts = 0
		case "STARTTLS":
			fmt.Fprint(c, "220 go ahead\r\n")
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*s.cert}})
			r.Reset(c)
			continue
		case "AUTH":
			if s.choose(line) == "" {
				text = "235 2.7.0 welcome"
			}
		case "MAIL", "RSET":
			rcpts = 0
		case "RCPT":
			if text[0] == '2' {
				rcpts++
			}
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		}
		fmt.Fprint(c, text+"\r\n")
		if strings.HasPrefix(text, "421") {
			return
		}
		if verb == "DATA" && text[0] == '3' && !s.data(c, r, rcpts) {
			return
		}
	}
}

func (s *server) choose(line string) string {
	if s.answer == nil {
		return ""
	}
	return s.answer(line)
}

// data reads a message and answers: once, or for LMTP once for each recipient.
func (s *server) data(c net.Conn, r *bufio.Reader, rcpts int) bool {
	var m []byte
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return false
		}
		if string(line) == ".\r\n" {
			break
		}
		m = append(m, line...)
	}
	s.mu.Lock()
	s.messages = append(s.messages, m)
	lmtp := strings.HasPrefix(s.commands[0], "LHLO")
	s.mu.Unlock()
	if !lmtp {
		rcpts = 1
	}
	for i := range rcpts {
		a := s.choose(fmt.Sprintf("end %d", i))
		if a == "close" {
			return false
		}
		if a == "" {
			a = "250 2.0.0 kept"
		}
		fmt.Fprint(c, a+"\r\n")
	}
	return true
}

func (s *server) run(cfg Config) Result {
	s.t.Helper()
	cfg.Addr = s.listen()
	if cfg.Sizes == nil {
		cfg.Sizes = []int{1000}
	}
	cfg.reconnectInterval = time.Microsecond
	res, err := Run(context.Background(), cfg, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

func users(t *testing.T, n int) []string {
	t.Helper()
	list, err := ExpandRecipients([]string{"user%d@example.test"}, n)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestEveryMessageHasItsSizeAndANameOfItsOwn(t *testing.T) {
	for _, offers := range []string{"250-PIPELINING\r\n", ""} {
		s := &server{t: t, offers: offers}
		res := s.run(Config{Sessions: 3, Messages: 30, Sizes: []int{1234}, Recipients: users(t, 7)})
		if res.Messages != 30 || res.Recipients != 30 || res.Failed != 0 || res.Connections < 1 || res.Connections > 3 {
			t.Errorf("%q: %+v", offers, res)
		}
		ids := map[string]bool{}
		id := regexp.MustCompile(`(?m)^Message-ID: <([0-9a-f]{24})@`)
		for _, m := range s.messages {
			if len(m) != 1234 {
				t.Fatalf("%d bytes, want 1234", len(m))
			}
			match := id.FindSubmatch(m)
			if match == nil || bytes.Count(m, match[1]) != 2 {
				t.Fatalf("no Message-ID that the body repeats in %q", m[:200])
			}
			ids[string(match[1])] = true
		}
		if len(ids) != 30 {
			t.Errorf("%d different Message-IDs, want 30", len(ids))
		}
		for i, n := range res.Accepted { // 30 over 7 in turn
			if want := int64(4 + map[bool]int{true: 1}[i < 2]); n != want {
				t.Errorf("recipient %d: %d messages, want %d", i, n, want)
			}
		}
	}
}

func TestRefusalsAreCountedByTheirWords(t *testing.T) {
	for _, offers := range []string{"250-PIPELINING\r\n", ""} {
		s := &server{t: t, offers: offers, answer: func(c string) string {
			switch {
			case strings.HasPrefix(c, "RCPT TO:<user2@"):
				return "550-5.1.1 nobody\r\n550 of that name"
			case strings.HasPrefix(c, "RCPT TO:<user3@"):
				return "452 4.2.2 full"
			}
			return ""
		}}
		res := s.run(Config{Sessions: 1, Messages: 9, Recipients: users(t, 3)})
		if res.Messages != 3 || res.Failed != 6 || res.Connections != 1 {
			t.Errorf("%q: %d accepted, %d failed over %d connections", offers, res.Messages, res.Failed, res.Connections)
		}
		if res.Errors["550 5.1.1 nobody"] != 3 || res.Errors["452 4.2.2 full"] != 3 {
			t.Errorf("%q: %v", offers, res.Errors)
		}
		if fmt.Sprint(res.Accepted) != "[3 0 0]" {
			t.Errorf("%q: accepted %v", offers, res.Accepted)
		}
	}
}

func TestLMTPAnswersForEachRecipient(t *testing.T) {
	s := &server{t: t, offers: "250-PIPELINING\r\n", answer: func(c string) string {
		if strings.HasPrefix(c, "RCPT TO:<user1@") {
			return "550 5.1.1 nobody"
		}
		if c == "end 1" {
			return "452 4.2.2 full"
		}
		return ""
	}}
	res := s.run(Config{LMTP: true, Sessions: 1, Messages: 2, Recipients: users(t, 3), PerMessage: 3})
	if fmt.Sprint(res.Accepted) != "[0 2 0]" || res.Messages != 2 || res.Failed != 4 {
		t.Errorf("accepted %v, %d messages, %d failed: %v", res.Accepted, res.Messages, res.Failed, res.Errors)
	}
}

func TestBrokenConnectionBeforeTheReplyIsUncertain(t *testing.T) {
	var once sync.Once
	s := &server{t: t, offers: "250-PIPELINING\r\n", answer: func(c string) (a string) {
		if c == "end 0" {
			once.Do(func() { a = "close" })
		}
		return a
	}}
	res := s.run(Config{Sessions: 1, Messages: 5, Recipients: users(t, 1)})
	if res.Uncertain != 1 || res.Messages != 4 || res.Connections != 2 || res.Errors["the server closed the connection"] != 1 {
		t.Errorf("%+v", res)
	}
}

func TestAConnectionThatTheServerClosesIsReplaced(t *testing.T) {
	for _, offers := range []string{"250-PIPELINING\r\n", ""} {
		mails := 0
		s := &server{t: t, offers: offers, answer: func(c string) string {
			if strings.HasPrefix(c, "MAIL") {
				if mails++; mails%3 == 0 {
					return "421 4.7.0 enough"
				}
			}
			return ""
		}}
		res := s.run(Config{Sessions: 1, Messages: 7, Recipients: users(t, 1)})
		if res.Connections != 3 || res.Messages != 5 || res.Failed != 2 || res.Errors["421 4.7.0 enough"] != 2 {
			t.Errorf("%q: %+v", offers, res)
		}
	}
}

func TestTheServersLimitIsKept(t *testing.T) {
	s := &server{t: t, offers: "250-LIMITS RCPTMAX=1000 MAILMAX=3\r\n"}
	res := s.run(Config{Sessions: 1, Messages: 7, Recipients: users(t, 1)})
	if res.Connections != 3 || res.Messages != 7 || res.Failed != 0 {
		t.Errorf("%+v", res)
	}
}

func TestMessagesPerConnection(t *testing.T) {
	s := &server{t: t, offers: "250-PIPELINING\r\n"}
	res := s.run(Config{Sessions: 1, Messages: 7, PerConnection: 3, Recipients: users(t, 1)})
	if res.Connections != 3 || res.Messages != 7 {
		t.Errorf("%d messages over %d connections", res.Messages, res.Connections)
	}
}

func TestStartTLSAndAuth(t *testing.T) {
	h := httptest.NewTLSServer(nil)
	defer h.Close()
	s := &server{t: t, offers: "250-STARTTLS\r\n250-AUTH LOGIN PLAIN\r\n", cert: &h.TLS.Certificates[0]}
	cfg := Config{Sessions: 1, Messages: 1, StartTLS: true, Username: "alice", Password: "secret", Recipients: users(t, 1)}
	cfg.TLS = h.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.TLS.ServerName = "example.com"
	res := s.run(cfg)
	if res.Messages != 1 {
		t.Fatalf("%v", res.Errors)
	}
	want := []string{"EHLO mailbench.invalid", "STARTTLS", "EHLO mailbench.invalid", "AUTH PLAIN AGFsaWNlAHNlY3JldA=="}
	if got := s.commands[:4]; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("commands %q", got)
	}
}

func TestAuthNotOfferedIsAnError(t *testing.T) {
	s := &server{t: t, offers: "250-AUTH GSSAPI\r\n"}
	res := s.run(Config{Sessions: 1, Messages: 1, Username: "alice", Password: "x", Recipients: users(t, 1)})
	if res.Errors["the server offers neither AUTH PLAIN nor AUTH LOGIN here"] != 1 || res.Messages != 0 {
		t.Errorf("%+v", res)
	}
}

func TestAuthLoginWherePlainIsNotOffered(t *testing.T) {
	s := &server{t: t, offers: "250-AUTH LOGIN\r\n", answer: func(c string) string {
		switch c {
		case "AUTH LOGIN":
			return "334 VXNlcm5hbWU6"
		case "YWxpY2U=":
			return "334 UGFzc3dvcmQ6"
		case "c2VjcmV0":
			return "235 2.7.0 welcome"
		}
		return ""
	}}
	res := s.run(Config{Sessions: 1, Messages: 1, Username: "alice", Password: "secret", Recipients: users(t, 1)})
	if res.Messages != 1 || res.Failed != 0 {
		t.Errorf("%v: %q", res.Errors, s.commands)
	}
}

func TestSizesAreUsedInTurnAndLargeMessagesAreWhole(t *testing.T) {
	s := &server{t: t, offers: "250-PIPELINING\r\n"}
	sizes := []int{1000, shareFrom + 1000, 70_001}
	res := s.run(Config{Sessions: 2, Messages: 12, Sizes: sizes, Recipients: users(t, 1)})
	if res.Messages != 12 {
		t.Fatalf("%+v", res)
	}
	seen := map[int]int{}
	stamps := map[string]bool{}
	for _, m := range s.messages {
		seen[len(m)]++
		head, body, _ := bytes.Cut(m, []byte("\r\n\r\n"))
		stamp, rest, _ := bytes.Cut(body, []byte("\r\n"))
		stamps[string(stamp)] = true
		want := fmt.Sprintf("%s: %08x", SumHeader, Sum(rest))
		if !bytes.Contains(head, []byte(want)) || !bytes.Contains(head, stamp) {
			t.Errorf("no %q in %q", want, head)
		}
		if _, n, ok := ParseStamp(string(stamp)); !ok || n < 0 || n > 11 {
			t.Errorf("stamp %q: %d", stamp, n)
		}
	}
	if len(stamps) != 12 || len(seen) != 3 || seen[1000] != 4 || seen[70_001] != 4 {
		t.Errorf("%v, %d stamps", seen, len(stamps))
	}
}

func TestCancelEndsAtOnce(t *testing.T) {
	stuck := make(chan struct{})
	s := &server{t: t, answer: func(c string) string {
		if c == "DATA" {
			<-stuck
		}
		return ""
	}}
	ctx, cancel := context.WithCancel(context.Background())
	addr := s.listen()
	t.Cleanup(func() { close(stuck) })
	cancelled := make(chan struct{})
	go func() {
		defer close(cancelled)
		Run(ctx, Config{Addr: addr, Sessions: 2, Messages: 2, Sizes: []int{1000}, Recipients: []string{"a@example.test"}}, nil)
	}()
	cancel()
	<-cancelled // hangs if cancelling does not end what waits for a reply
}

func TestBadConfigurations(t *testing.T) {
	good := Config{Addr: "x:25", Sessions: 1, Messages: 1, Sizes: []int{1000}, Recipients: []string{"a@example.test"}}
	for name, spoil := range map[string]func(*Config){
		"no address":       func(c *Config) { c.Addr = "" },
		"no session":       func(c *Config) { c.Sessions = 0 },
		"time and number":  func(c *Config) { c.Duration = 1 },
		"neither":          func(c *Config) { c.Messages = 0 },
		"too small":        func(c *Config) { c.Sizes = []int{10} },
		"nobody":           func(c *Config) { c.Recipients = nil },
		"too few":          func(c *Config) { c.PerMessage = 2 },
		"two kinds of TLS": func(c *Config) { c.StartTLS, c.ImplicitTLS = true, true },
		"a second command": func(c *Config) { c.From = "a>\r\nRSET" },
	} {
		c := good
		spoil(&c)
		if _, err := Run(context.Background(), c, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := good.check(); err != nil {
		t.Error(err)
	}
}

func TestMessageSizes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for size := MinSize; size < MinSize+200; size++ {
		m := newTemplate(size, "a@example.test", "b@example.test", time.Unix(0, 0), rnd).message()
		if len(m.tail) != 0 || len(m.head) != size+3 || !bytes.HasSuffix(m.head, []byte("\r\n.\r\n")) {
			t.Fatalf("size %d: %d bytes", size, len(m.head))
		}
		for line := range bytes.Lines(m.head[:size]) {
			if line[0] == '.' || len(line) > 100 || !bytes.HasSuffix(line, []byte("\r\n")) {
				t.Fatalf("size %d: line %q", size, line)
			}
		}
	}
}

func TestHistogramIsCloseToTheTruth(t *testing.T) {
	var h Histogram
	for us := 1; us <= 100_000; us++ {
		h.Add(time.Duration(us) * time.Microsecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.99} {
		got, want := h.Quantile(q).Seconds(), q*0.1
		if got < want*0.98 || got > want*1.02 {
			t.Errorf("quantile %v: %v s, want %v", q, got, want)
		}
	}
	if l := h.Latency(); l.Max != 100 || l.Mean < 50 || l.Mean > 50.1 {
		t.Errorf("%+v", l)
	}
	for us := uint64(0); us < 1<<38; us = us*3/2 + 1 {
		m := float64(middle(class(us)))
		if m < float64(us)*0.98-1 || m > float64(us)*1.02+1 {
			t.Errorf("%d µs stands in a class around %v", us, m)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -123: "-123", -1234: "-1,234"} {
		if got := Grouped(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// The rate is of messages: how long a server takes to say goodbye is no part of it.
func TestTimeEndsBeforeTheGoodbye(t *testing.T) {
	var mu sync.Mutex
	var goodbye time.Time
	s := &server{t: t, offers: "250-PIPELINING\r\n", answer: func(command string) string {
		if command == "QUIT" {
			mu.Lock()
			goodbye = time.Now()
			mu.Unlock()
		}
		return ""
	}}
	res, err := Run(t.Context(), Config{Addr: s.listen(), Sessions: 1, Messages: 3, Sizes: []int{1000}, Recipients: []string{"a@b.test"}}, nil)
	if err != nil || res.Messages != 3 {
		t.Fatalf("%v %+v", err, res)
	}
	mu.Lock()
	defer mu.Unlock()
	if end := res.Start.Add(time.Duration(res.Seconds * float64(time.Second))); goodbye.IsZero() || end.After(goodbye) {
		t.Errorf("until %v, QUIT came at %v", end, goodbye)
	}
}
