package dns

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	wire "github.com/miekg/dns"
)

const (
	// udpSize is the payload that travels without fragments nearly everywhere (RFC 9715 §3.2).
	udpSize = 1232
	// maxStray is how many packets that are not our answer one wait puts up with.
	maxStray = 50
	// readBuffer takes what a server sends that ignores udpSize.
	readBuffer = 4096
)

// exchange asks one server once: over UDP, over TCP if the answer was cut off (RFC 7766 §5), without EDNS if the server
// does not know it (RFC 6891 §7).
func (r *Resolver) exchange(ctx context.Context, server string, q question) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	resp, err := r.ask(ctx, "udp", server, q, true)
	if err != nil {
		return result{}, err
	}
	edns := true
	if resp.Rcode == wire.RcodeFormatError || resp.Rcode == wire.RcodeNotImplemented {
		edns = false
		if resp, err = r.ask(ctx, "udp", server, q, edns); err != nil {
			return result{}, err
		}
	}
	if resp.Truncated {
		if resp, err = r.ask(ctx, "tcp", server, q, edns); err != nil {
			return result{}, err
		}
		if resp.Truncated {
			return result{}, errMismatch
		}
	}
	return interpret(resp, q)
}

// ask sends the question over a connection of its own and waits for the response that belongs to it.
func (r *Resolver) ask(ctx context.Context, network, server string, q question, edns bool) (*wire.Msg, error) {
	id, packed, err := r.query(q, edns)
	if err != nil {
		return nil, err
	}
	conn, err := r.dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // nothing was promised; a failed close loses nothing
	// Closing ends reads and writes when the time is over or the caller gives up. (A deadline on the connection would
	// race with the context's own.)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	resp, err := converse(network, conn, packed, id, q)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("no answer: %w", ctx.Err())
	}
	return resp, err
}

// converse sends the question and waits for its answer, in the manner of the network.
func converse(network string, conn net.Conn, packed []byte, id uint16, q question) (*wire.Msg, error) {
	if network == "tcp" {
		return askStream(conn, packed, id, q)
	}
	return askPacket(conn, packed, id, q)
}

// query packs a question with a random id. AD set in a query asks for AD in the response (RFC 6840 §5.7).
func (r *Resolver) query(q question, edns bool) (uint16, []byte, error) {
	var random [2]byte
	if _, err := io.ReadFull(r.random, random[:]); err != nil {
		return 0, nil, fmt.Errorf("random id: %w", err)
	}
	m := new(wire.Msg)
	m.SetQuestion(q.name+".", q.qtype)
	m.Id = binary.BigEndian.Uint16(random[:])
	m.AuthenticatedData = true
	if edns {
		m.SetEdns0(udpSize, false)
	}
	packed, err := m.Pack()
	return m.Id, packed, err
}

func askPacket(conn net.Conn, packed []byte, id uint16, q question) (*wire.Msg, error) {
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	buf := make([]byte, readBuffer)
	for range maxStray {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if resp := parse(buf[:n], id, q); resp != nil {
			return resp, nil
		}
	}
	return nil, errMismatch
}

// askStream frames messages with their length: RFC 1035 §4.2.2.
func askStream(conn net.Conn, packed []byte, id uint16, q question) (*wire.Msg, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(packed)+2), uint16(len(packed)))
	if _, err := conn.Write(append(framed, packed...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	if resp := parse(buf, id, q); resp != nil {
		return resp, nil
	}
	return nil, errMismatch // on a stream nobody else can have sent it
}

// parse returns the response in a packet if it is the one to our query, else nil. A response that was cut off may not
// parse to its end; its header is all that counts then.
func parse(packet []byte, id uint16, q question) *wire.Msg {
	resp := new(wire.Msg)
	err := resp.Unpack(packet)
	if !matches(resp, id, q) {
		return nil
	}
	if err != nil && !resp.Truncated {
		return nil
	}
	return resp
}
