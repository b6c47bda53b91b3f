package crowd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
)

// TestFloodFromOneAddress: it gets its share of connections and is told so; others are served; the log keeps its size; the
// connections that there are survive a reload.
func TestFloodFromOneAddress(t *testing.T) {
	const share, tries = 20, 300
	s := system.Start(t, system.Options{Set: []string{fmt.Sprintf("smtp.max_connections_per_address=%d", share),
		fmt.Sprintf(`limits.exempt_networks=["%s/32"]`, Source(2))}})
	flood, err := Gather(tries, 32, func(int) (*Client, error) {
		c, err := Dial(s.Listeners["smtp"], Source(0), nil)
		if err != nil {
			return nil, err
		}
		if err := c.Hello(nil); err != nil {
			_ = c.Close()
			var no *Refused
			if errors.As(err, &no) && strings.HasPrefix(no.Answer, "421 4.7.0 ") {
				return nil, nil
			}
			return nil, err
		}
		return c, nil
	})
	if err != nil || Present(flood) != share {
		t.Errorf("%d of %d got in, want %d: %v", Present(flood), tries, share, err)
	}
	deliver(t, s, Source(1), false)
	relay, err := Gather(2*share, 8, func(int) (*Client, error) {
		c, err := Dial(s.Listeners["smtp"], Source(2), nil)
		if err == nil {
			err = c.Hello(nil)
		}
		return c, err
	})
	if err != nil {
		t.Errorf("from an exempt address: %v", err)
	}
	Disperse(relay)
	figures := Metrics(t, s.Listeners["http"])
	if open, refused := figures[`postrider_connections{service="smtp"}`], figures[`postrider_connections_refused{service="smtp"}`]; refused != tries-share ||
		open < share || open > 3*share+1 {
		t.Errorf("gauges: %v open, %v refused", open, refused)
	}
	if n := strings.Count(s.Log(1<<20), "connections are refused"); n < 1 || n > 3 {
		t.Errorf("%d lines about %d refusals", n, tries-share)
	}
	reload(t, s)
	for _, c := range flood {
		if c == nil {
			continue
		}
		if err := c.SMTP("NOOP", "250"); err != nil {
			t.Errorf("after a reload: %v", err)
		}
	}
	Disperse(flood)
}

// TestFewDescriptors: where the limit of open files is lower than what the configuration admits, the server says so when it
// starts, keeps what it needs for itself, and tells the others to come later.
func TestFewDescriptors(t *testing.T) {
	const limit = 240
	script := filepath.Join(t.TempDir(), "postrider")
	text := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %s \"$@\"\n", limit, system.Binary(t))
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POSTRIDER_BIN", script)
	s := system.Start(t, system.Options{})
	crowd, _ := Gather(limit, 32, func(i int) (*Client, error) {
		c, err := Dial(s.Listeners["smtp"], Source(i), nil)
		if err == nil {
			err = c.Hello(nil)
		}
		var no *Refused
		if errors.As(err, &no) && !strings.HasPrefix(no.Answer, "421 4.3.2 ") {
			t.Errorf("refused with %q", no.Answer)
		}
		if err != nil {
			return nil, err
		}
		return c, nil
	})
	if n := Present(crowd); n < limit/4 || n > limit/2 {
		t.Errorf("%d of %d got in", n, limit)
	}
	said := s.Log(1 << 20)
	if !strings.Contains(said, "the limit of open files is low") || !strings.Contains(said, "LimitNOFILE=") {
		t.Errorf("nothing in the log about the limit:\n%s", said)
	}
	for _, c := range crowd {
		if c != nil {
			if err := message(c, s.Bob.Address); err != nil {
				t.Errorf("one of the crowd sends: %v", err)
			}
			break
		}
	}
	Disperse(crowd)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := Dial(s.Listeners["smtp"], Source(limit), nil)
		if err == nil {
			err = c.Hello(nil)
			_ = c.Close()
		}
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("after the crowd has gone: %v", err)
		}
	}
}

// reload has the server read its configuration again.
func reload(t *testing.T, s *system.System) {
	t.Helper()
	if err := syscall.Kill(s.Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); !strings.Contains(s.Log(1<<20), "reload"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no reload in the log")
		}
	}
}
