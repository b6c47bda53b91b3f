package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestConns: limits count by address and by /64, what is dismissed leaves nothing behind, and who is not IP has no limit.
func TestConns(t *testing.T) {
	var s Conns[int]
	l := Limits{Total: 5, PerSite: 2}
	a, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1%eth0")
	for i, c := range []struct {
		from netip.Addr
		want Refusal
	}{
		{a, ""}, {a, ""}, {a, SiteFull}, {v6, ""}, {netip.MustParseAddr("2001:db8::ffff"), ""}, {netip.MustParseAddr("2001:db8::2"), SiteFull},
		{netip.Addr{}, ""}, {netip.MustParseAddr("2001:db8:1::1"), Full},
	} {
		if got := s.Admit(i, c.from, l); got != c.want {
			t.Errorf("%d from %v: %q, want %q", i, c.from, got, c.want)
		}
	}
	for _, c := range []int{0, 1, 3, 4, 6} {
		s.Dismiss(c)
	}
	if s.Len()+len(s.per) != 0 {
		t.Errorf("left behind: %v %v", s.conns, s.per)
	}
}

// TestConnsOfANetwork: twenty addresses of a /24 do not take all that a service has; private networks and those who are exempt may.
func TestConnsOfANetwork(t *testing.T) {
	shared := NewShared(1000, 1)
	shared.Exempt = netip.MustParsePrefix("203.0.113.0/24").Contains
	for first, want := range map[string]int{"192.0.2.0": 50, "2001:db8::": 50, "10.0.0.0": 100, "127.0.0.0": 100, "fd00::": 100, "203.0.113.0": 100} {
		var s Conns[int]
		in, from := 0, netip.MustParseAddr(first)
		for i := range 110 {
			if s.Admit(i, from, Limits{Total: 100, PerSite: 5, Shared: shared}) == "" {
				in++
			}
			if from.Is4() {
				from = from.Next()
			} else { // the next /64
				b := from.As16()
				b[7]++
				from = netip.AddrFrom16(b)
			}
		}
		if in != want {
			t.Errorf("%s: %d admitted, want %d", first, in, want)
		}
		for i := range in {
			s.Dismiss(i)
		}
		if len(s.per) != 0 {
			t.Errorf("left behind: %v", s.per)
		}
	}
	var s Conns[int]
	for i := range 4 {
		if r := s.Admit(i, netip.MustParseAddr("192.0.2.1"), Limits{Total: 5, PerSite: 4}); r != "" {
			t.Errorf("connection %d of an address that may have four: %s", i, r)
		}
	}
}

// TestShutdown: everyone is asked to stop; who does not is cut off when time is over; nobody comes after that.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Conns[string]
		l := Limits{Total: 10, PerSite: 10}
		for _, c := range []string{"polite", "busy"} {
			if r := s.Admit(c, netip.Addr{}, l); r != "" {
				t.Fatal(r)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var cut []string
		err := s.Shutdown(ctx, func(c string) {
			if c == "polite" {
				go s.Dismiss(c)
			}
		}, func(c string) {
			cut = append(cut, c)
			go s.Dismiss(c)
		})
		if !errors.Is(err, context.DeadlineExceeded) || len(cut) != 1 || cut[0] != "busy" || s.Len() != 0 {
			t.Errorf("%v, cut off %v, %d left", err, cut, s.Len())
		}
		if r := s.Admit("late", netip.Addr{}, l); r != Closing {
			t.Errorf("admitted after shutdown: %q", r)
		}
	})
}

// TestTransport: a signal wakes a Read that listens to it and no other; patience and the limit end a Read.
func TestTransport(t *testing.T) {
	const one, two Signal = 1, 2
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		tr := NewTransport(near, time.Now, time.Hour, time.Minute)
		tr.Wait(time.Hour, one)
		go func() { time.Sleep(time.Second); tr.Notify(two); time.Sleep(time.Second); tr.Notify(one) }()
		began := time.Now()
		if _, err := tr.Read(make([]byte, 1)); !errors.Is(err, ErrWoken) || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if !tr.Has(two) || !tr.Take(one) || tr.Has(one) {
			t.Error("signals")
		}
		tr.Limit(time.Now().Add(time.Minute))
		began = time.Now()
		var lost *Error
		if _, err := tr.Read(make([]byte, 1)); !errors.As(err, &lost) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := tr.Write([]byte("nobody reads")); !errors.As(err, &lost) {
			t.Error(err)
		}
	})
}

// TestSignalEndsHandshake: before it begins, and while the client is silent.
func TestSignalEndsHandshake(t *testing.T) {
	for _, early := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			tr := NewTransport(near, time.Now, time.Minute, time.Minute)
			began := time.Now()
			if early {
				tr.Notify(1)
			} else {
				time.AfterFunc(time.Second, func() { tr.Notify(1) })
			}
			if _, err := tr.StartTLS(t.Context(), &tls.Config{}, NewShared(1, 1)); err == nil || time.Since(began) > time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
}
