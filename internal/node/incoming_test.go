package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/status"
)

// TestIncoming: messages wait for their place, and no longer than patience; what is announced counts as if it were written.
func TestIncoming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &space{now: time.Now, asked: time.Now().Add(time.Hour), bytes: 100 << 20}
		in := newIncoming(&config.Config{Limits: config.Limits{MessagesAtOnce: 2}}, disk)
		begin := func(size int64) (func(), error) { return in.begin(t.Context(), size, 10<<20) }
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
		if _, err := in.begin(gone, 1, 0); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		second()
		third()
		if now, refused := in.load(); now != 0 || refused != 2 || in.free() != 100<<20 {
			t.Errorf("%d inside, %d refused, %d free", now, refused, in.free())
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
