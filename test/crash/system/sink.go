package system

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// Sink is the next hop: an SMTP server that takes everything and counts it.
type Sink struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	times map[string]int // by token
	errs  []error        // messages that are not whole
}

// Listen starts a Sink on a port of loopback that the system chooses.
func Listen() (*Sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Sink{listener: l, times: map[string]int{}}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() {
				defer c.Close()
				_ = s.session(c) // the server is killed while it talks
			})
		}
	})
	return s, nil
}

// Port is where it listens.
func (s *Sink) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Close stops it.
func (s *Sink) Close() error {
	err := s.listener.Close()
	s.wg.Wait()
	return err
}

// Times is how often each token came since the last call, and which messages came damaged.
func (s *Sink) Times() (map[string]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	times, errs := s.times, s.errs
	s.times, s.errs = map[string]int{}, nil
	return times, errors.Join(errs...)
}

func (s *Sink) session(c net.Conn) error {
	in := bufio.NewReader(c)
	say := func(reply string) { fmt.Fprintf(c, "%s\r\n", reply) }
	say("220 remote.example ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "EHLO"):
			say("250-remote.example\r\n250 SIZE 100000000")
		case verb == "DATA":
			say("354 go ahead")
			text, err := data(in)
			if err != nil {
				return err
			}
			s.take(text)
			say("250 2.0.0 taken")
		case verb == "QUIT":
			say("221 2.0.0 bye")
			return nil
		default:
			say("250 2.0.0 ok")
		}
	}
}

// data reads to the line with a dot alone (RFC 5321 §4.5.2).
func data(in *bufio.Reader) ([]byte, error) {
	var b bytes.Buffer
	for {
		line, err := in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return nil, io.ErrShortBuffer // no line of Make is so long
		}
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return b.Bytes(), nil
		}
		b.Write(bytes.TrimPrefix(line, []byte(".")))
	}
}

func (s *Sink) take(text []byte) {
	token, _, err := Read(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("at the next hop: %w", err))
		return
	}
	s.times[token]++
}
