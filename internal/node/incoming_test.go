package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/link"
)

// TestIncoming: messages wait for their place, and no longer than patience; what is announced counts as if it were written.
func TestIncoming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &space{now: time.Now, asked: time.Now().Add(time.Hour), bytes: 100 << 20}
		in := newIncoming(&config.Config{Limits: config.Limits{MessagesAtOnce: 2}}, disk)
		begin := func(size int64) (func(), error) { return in.begin(t.Context(), coming{size: size, reserve: 10 << 20}) }
		first, err := begin(50 << 20)
		if err != nil || in.free() != 50<<20 {
			t.Fatal(err, in.free())
		}
		if _, err := begin(41 << 20); !errors.Is(err, status.ErrNoSpace) {
			t.Errorf("more than there is: %v", err)
		}
		second, err := begin(40 << 20)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := begin(1); !errors.Is(err, errManyMessages) || time.Since(began) != incomingPatience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.AfterFunc(time.Second, first)
		third, err := begin(1 << 20)
		if err != nil || time.Since(began) != incomingPatience+time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := in.begin(gone, coming{size: 1}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		second()
		third()
		if now, refused := in.load(); now != 0 || refused != 2 || in.free() != 100<<20 {
			t.Errorf("%d inside, %d refused, %d free", now, refused, in.free())
		}
	})
}

// TestIncomingNetwork: one network never has all places, however many of its messages wait, and leaves nothing behind.
func TestIncomingNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &space{now: time.Now, asked: time.Now().Add(time.Hour), bytes: 1 << 40}
		in := newIncoming(&config.Config{Limits: config.Limits{MessagesAtOnce: 10}}, disk)
		from := func(a string) coming { return coming{network: link.Network(netip.MustParseAddr(a))} }
		let := make(chan func(), 100)
		refused := 0
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				end, err := in.begin(t.Context(), from(fmt.Sprintf("192.0.2.%d", i)))
				if err == nil {
					let <- end
				} else {
					refused++
				}
			})
			synctest.Wait()
		}
		began := time.Now()
		for _, a := range []string{"198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8:0:ffff::", "2001:db8:1::"} {
			end, err := in.begin(t.Context(), from(a))
			if err != nil || time.Since(began) != 0 {
				t.Fatalf("%s: %v after %v", a, err, time.Since(began))
			}
			let <- end
		}
		time.Sleep(incomingPatience)
		group.Wait()
		if refused != 45 || len(let) != 10 {
			t.Errorf("%d refused, %d inside", refused, len(let))
		}
		for range 10 {
			(<-let)()
		}
		if now, _ := in.load(); now != 0 || len(in.networks) != 0 || in.promised != 0 {
			t.Errorf("left behind: %d, %v, %d", now, in.networks, in.promised)
		}
	})
}

// TestDescriptors: the warning names the numbers, and clients never get all descriptors.
func TestDescriptors(t *testing.T) {
	c := config.Defaults()
	if text := scarceDescriptors(c, 1<<20); text != "" {
		t.Error(text)
	}
	if text := scarceDescriptors(c, 1024); !strings.Contains(text, "LimitNOFILE=") || !strings.Contains(text, "is 1024: 512 are taken") {
		t.Error(text)
	}
	if n := forClients(c, 20_000); n != 20_000-ownDescriptors-c.Limits.MessagesAtOnce-c.MTA.Concurrency {
		t.Errorf("%d for clients", n)
	}
	c.Listeners.HTTPS.Enabled, c.Listeners.HTTP.Enabled = true, true
	if n := forClients(c, 20_000); n != 20_000-ownDescriptors-c.Limits.MessagesAtOnce-c.MTA.Concurrency-c.HTTP.MaxConnections {
		t.Errorf("%d for mail clients beside HTTP, which is not bounded with them", n)
	}
	if admitted(c) != 3*c.SMTP.MaxConnections+c.IMAP.MaxConnections+c.POP3.MaxConnections {
		t.Errorf("%d admitted", admitted(c))
	}
}

// TestSometimes: a flood of one kind of trouble is a line a minute, with its number.
func TestSometimes(t *testing.T) {
	var s sometimes
	now := time.Unix(1_800_000_000, 0)
	for second := range 121 {
		want := map[int]int{0: 1, 60: 60, 120: 60}[second]
		if got := s.happened(now.Add(time.Duration(second) * time.Second)); got != want {
			t.Errorf("second %d: %d, want %d", second, got, want)
		}
	}
}
