package smtp

import (
	"net"
	"runtime"
	"testing"
	"time"
)

// TestWaitingIsCheap: a client that waits for the greeting costs its goroutine and little else, however many wait.
func TestWaitingIsCheap(t *testing.T) {
	const clients, most = 1000, 24 << 10 // octets each; measured: 9 to 14 KiB, most of it the goroutine's stack
	began := make(chan struct{}, clients)
	s := testServer(t, "", &backend{}, func(c *Config) {
		c.Limits.PerAddress, c.Limits.Connections = clients+1, clients+1
		c.GreetPause = func(*Peer, func()) (time.Duration, func([]byte, error)) {
			began <- struct{}{}
			return time.Hour, nil
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(t.Context(), l, TLSStart) }()
	before, goroutines := inUse(), runtime.NumGoroutine()
	conns := make([]net.Conn, clients)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		<-began
	}
	each := (inUse() - before) / clients
	t.Logf("%d octets for each client that waits", each)
	if each > most {
		t.Errorf("%d octets for each client that waits, at most %d", each, most)
	}
	if more := runtime.NumGoroutine() - goroutines; more > clients+10 {
		t.Errorf("%d goroutines for %d clients", more, clients)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != ErrServerClosed {
		t.Error(err)
	}
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
