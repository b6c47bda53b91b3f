package dnstest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// Listen serves on a free loopback port over UDP and TCP until the test ends, and returns "127.0.0.1:port".
func (s *Server) Listen(tb testing.TB) string {
	tb.Helper()
	// A port that is free for TCP may be taken for UDP by another test; then try another one.
	var err error
	for range 20 {
		var addr string
		if addr, err = s.ListenOn(tb, "127.0.0.1:0"); err == nil {
			return addr
		}
	}
	tb.Fatal(err)
	return ""
}

// ListenOn serves on a given address, for tests in network namespaces.
func (s *Server) ListenOn(tb testing.TB, address string) (string, error) {
	tb.Helper()
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		_ = tcp.Close() // nothing was served on it
		return "", err
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.serveUDP(udp) })
	wg.Go(func() { s.serveTCP(tcp, &wg) })
	tb.Cleanup(func() {
		_, _ = tcp.Close(), udp.Close() // the test is over
		wg.Wait()
	})
	return tcp.Addr().String(), nil
}

func (s *Server) serveUDP(conn net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		for _, p := range s.respond(buf[:n], "udp") {
			_, _ = conn.WriteTo(p, from) // as lost as any packet
		}
	}
}

func (s *Server) serveTCP(l net.Listener, wg *sync.WaitGroup) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() { s.stream(conn) })
	}
}

// stream serves one TCP connection until the client closes it.
func (s *Server) stream(conn net.Conn) {
	defer conn.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		for _, p := range s.respond(query, "tcp") {
			if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...)); err != nil {
				return
			}
		}
	}
}

// Dial connects to the server by a pipe, whatever the address. A pipe keeps the borders of packets as long as the reader
// takes each whole, as the resolver does. Its goroutine ends when the client closes.
func (s *Server) Dial(_ context.Context, network, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	switch network {
	case "udp":
		go s.packets(server)
	case "tcp":
		go s.stream(server)
	default:
		return nil, fmt.Errorf("no pipe for the network %q", network)
	}
	return client, nil
}

func (s *Server) packets(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		for _, p := range s.respond(buf[:n], "udp") {
			if _, err := conn.Write(p); err != nil {
				return
			}
		}
	}
}
