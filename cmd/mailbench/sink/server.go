package sink

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// Bounds on what a client may do.
const (
	maxLine        = 64 << 10 // RFC 5321 §4.5.3.1.6 says 1,000; some send longer ones
	maxRecipients  = 10_000
	maxMessage     = 512 << 20
	maxConnections = 10_000
	idleTimeout    = 5 * time.Minute
)

// Arrival is one message that has come, told before its 250.
type Arrival struct {
	Stamp      string // of the load generator; "" in a message of anyone else
	Intact     bool   // the body is as it was sent
	Recipients []string
	At         time.Time
}

// Server takes connections until Close.
type Server struct {
	listener net.Listener
	arrived  func(Arrival)
	delay    time.Duration

	mu    sync.Mutex
	conns map[net.Conn]bool
	done  bool
	wg    sync.WaitGroup
}

// Serve begins to take connections on l. arrived is called by many sessions at once. delay is added before each reply to
// a message, as a distant or slow receiver would.
func Serve(l net.Listener, delay time.Duration, arrived func(Arrival)) *Server {
	s := &Server{listener: l, arrived: arrived, delay: delay, conns: map[net.Conn]bool{}}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.take(c)
		}
	})
	return s
}

func (s *Server) take(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || len(s.conns) >= maxConnections {
		c.Close()
		return
	}
	s.conns[c] = true
	s.wg.Go(func() {
		k := &session{Conn: c, server: s, r: bufio.NewReaderSize(c, maxLine)}
		k.serve()
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
}

// Close ends all connections and waits for them.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.done = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}
