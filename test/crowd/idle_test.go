package crowd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// idle is a crowd that connects and then says nothing.
type idle struct {
	service string
	tls     bool // of the crowd: from the first byte, or by STARTTLS
	n       int
	most    int64 // bytes of resident memory for each
}

const connections = 10_000 // issue 4

// TestIdleShort: what the full forms do, with a few.
func TestIdleShort(t *testing.T) {
	for _, kind := range idles(250, 96<<10) { // the few carry what the first of anything costs
		t.Run(kind.name(), func(t *testing.T) { kind.run(t) })
	}
}

// TestIdleFull: 10,000 of each kind, at most 40 KiB each (DESIGN §5).
func TestIdleFull(t *testing.T) {
	needs.Long(t, "10,000 connections of each kind; minutes")
	for _, kind := range idles(connections, 40<<10) {
		t.Run(kind.name(), func(t *testing.T) { kind.run(t) })
	}
}

func idles(n int, most int64) []idle {
	return []idle{
		{service: "smtp", n: n, most: most},
		{service: "smtp", tls: true, n: n, most: most},
		{service: "imaps", tls: true, n: n, most: most},
		{service: "pop3s", tls: true, n: n, most: most},
	}
}

func (k idle) name() string {
	if k.service == "smtp" && k.tls {
		return "smtp-starttls"
	}
	return k.service
}

func (k idle) run(t *testing.T) {
	family := strings.TrimSuffix(k.service, "s")
	s := system.Start(t, system.Options{Set: []string{
		fmt.Sprintf("%s.max_connections=%d", family, k.n),
		"imap.max_connections_per_account=100000", `limits.drain_timeout="20s"`, `smtp.command_timeout="1h"`, `pop3.login_timeout="1h"`,
	}})
	p := Process(s.Pid())
	config := s.TLS(t)
	before, files := p.Resident(t), p.Files(t)
	began := time.Now()
	// One stays free for the witness, who is served while all the others are there.
	crowd, err := Gather(k.n-1, 64, func(i int) (*Client, error) { return k.connect(s, config, i) })
	if err != nil {
		t.Fatalf("%d of %d: %v", Present(crowd), k.n-1, err)
	}
	took := time.Since(began)
	each := (p.Resident(t) - before) / int64(len(crowd))
	t.Logf("%s: %d connections in %v, %.1f KiB of resident memory each, %d MiB in all, peak %d MiB; %d descriptors, %d at first", k.name(), len(crowd),
		took.Round(time.Millisecond), float64(each)/1024, p.Resident(t)>>20, p.Peak(t)>>20, p.Files(t), files)
	if each > k.most {
		t.Errorf("%d bytes for each connection, want at most %d", each, k.most)
	}

	witness, err := k.connect(s, config, k.n)
	if err != nil {
		t.Fatalf("the last that there is room for: %v", err)
	}
	k.refused(t, s, k.n+1)
	deliver(t, s, Source(k.n+2), family == "smtp")
	if err := witness.Close(); err != nil {
		t.Fatal(err)
	}

	// A half goes; as many others find room.
	Disperse(crowd[:len(crowd)/2])
	again, err := Gather(len(crowd)/2, 64, func(i int) (*Client, error) { return k.retry(s, config, i) })
	if err != nil {
		t.Errorf("after others have gone: %v", err)
	}
	crowd = append(again, crowd[len(crowd)/2:]...)

	// All hear that the server goes down, and it goes in time with exit code 0.
	heard := make(chan int)
	go func() { heard <- k.farewells(crowd) }()
	began = time.Now()
	s.Stop(t)
	t.Logf("%s: gone %v after TERM", k.name(), time.Since(began).Round(time.Millisecond))
	if n := <-heard; n != len(crowd) {
		t.Errorf("%d of %d were told of the shutdown", n, len(crowd))
	}
	Disperse(crowd)
}

// connect makes one of the crowd: as far as such a connection gets before it rests.
func (k idle) connect(s *system.System, config *tls.Config, i int) (*Client, error) {
	implicit := config
	if k.service == "smtp" {
		implicit = nil
	}
	c, err := Dial(s.Listeners[k.service], Source(i), implicit)
	if err != nil {
		return nil, err
	}
	switch k.service {
	case "smtp":
		if !k.tls {
			config = nil
		}
		err = c.Hello(config)
	case "pop3s": // before login: a maildrop is one session's
		var line string
		if line, err = c.Line(); err == nil && !strings.HasPrefix(line, "+OK") {
			err = &Refused{"", line}
		}
	default:
		if err = c.Greeted(); err == nil {
			err = c.Idle(s.Alice.Address, s.Alice.Password)
		}
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// retry is connect for one that may find the server full still: it takes a moment to see that others have gone.
func (k idle) retry(s *system.System, config *tls.Config, i int) (c *Client, err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err = k.connect(s, config, i); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// refused demands that one more is told, in its protocol's words, that there is no room for now.
func (k idle) refused(t *testing.T, s *system.System, i int) {
	t.Helper()
	want := map[string]string{"smtp": "421 4.3.2 ", "imap": "* BYE [UNAVAILABLE] ", "pop3": "-ERR [SYS/TEMP] "}[strings.TrimSuffix(k.service, "s")]
	config := s.TLS(t)
	if k.service == "smtp" {
		config = nil
	}
	c, err := Dial(s.Listeners[k.service], Source(i), config)
	if err != nil {
		t.Errorf("one too many: %v", err)
		return
	}
	defer c.Close()
	if line, err := c.Line(); err != nil || !strings.HasPrefix(line, want) {
		t.Errorf("one too many: %q, %v; want %q", line, err, want)
	}
}

// farewells counts those who are told of the shutdown.
func (k idle) farewells(crowd []*Client) int {
	told := make([]bool, len(crowd))
	Each(len(crowd), len(crowd), func(i int) {
		for crowd[i] != nil {
			line, err := crowd[i].Line()
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "421 ") || strings.HasPrefix(line, "* BYE") || strings.HasPrefix(line, "-ERR") {
				told[i] = true
				return
			}
		}
	})
	n := 0
	for _, ok := range told {
		if ok {
			n++
		}
	}
	return n
}

// deliver sends a message to bob and waits until it is in his mailbox: others are served. Where SMTP is what is full the
// message comes by LMTP; the mailbox is looked at as an operator does, for IMAP may be full too.
func deliver(t *testing.T, s *system.System, from netip.Addr, full bool) {
	t.Helper()
	service, hello := "smtp", "EHLO witness.example"
	if full {
		service, hello = "lmtp", "LHLO witness.example"
	}
	c, err := Dial(s.Listeners[service], from, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.SMTP("", "220"), c.SMTP(hello, "250"), message(c, s.Bob.Address)); err != nil {
		t.Fatalf("meanwhile: %v", err)
	}
	operator, err := admin.Dial(t.Context(), filepath.Join(s.Dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		list, err := operator.Messages(t.Context(), admin.MessageQuery{Account: s.Bob.Address, Mailbox: "INBOX"})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 1 {
			return
		}
	}
	t.Error("a message sent meanwhile is not in its mailbox")
}

// message sends a small one.
func message(c *Client, to string) error {
	for _, step := range [][2]string{{"MAIL FROM:<w@witness.example>", "250"}, {"RCPT TO:<" + to + ">", "250"}, {"DATA", "354"},
		{"Subject: meanwhile\r\n\r\nserved\r\n.", "250"}} {
		if err := c.SMTP(step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}
