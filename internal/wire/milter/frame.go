package milter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Errors of a filter that does not keep to the protocol.
var (
	ErrProtocol = errors.New("milter: protocol error")
	ErrTooMuch  = errors.New("milter: the filter sends too much")
)

const (
	// maxPacket bounds what we read: libmilter sends 64 KiB at most, or 1 MiB where that is negotiated, which we do not.
	maxPacket = 1 << 20
	// MaxChunk is the most of a body that is sent at once.
	MaxChunk = 65535
)

// packet is a command or an answer.
type packet struct {
	code byte
	data []byte
}

// readPacket reads one packet: length (4 bytes, of code and data), code, data.
func readPacket(r *bufio.Reader) (packet, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return packet{}, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n == 0 || n > maxPacket {
		return packet{}, fmt.Errorf("%w: a packet of %d bytes", ErrProtocol, n)
	}
	if _, err := io.ReadFull(r, head[4:]); err != nil {
		return packet{}, unexpected(err)
	}
	if n == 1 {
		return packet{code: head[4]}, nil
	}
	// What is promised is not believed before it comes.
	var data bytes.Buffer
	if m, err := io.CopyN(&data, r, int64(n-1)); err != nil {
		return packet{}, fmt.Errorf("%w after %d of %d bytes", unexpected(err), m, n-1)
	}
	return packet{head[4], data.Bytes()}, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writePacket writes one packet; the parts of data stand one after the other.
func writePacket(w *bufio.Writer, code byte, data ...[]byte) error {
	n := 1
	for _, d := range data {
		n += len(d)
	}
	var head [5]byte
	binary.BigEndian.PutUint32(head[:4], uint32(n))
	head[4] = code
	_, err := w.Write(head[:])
	for _, d := range data {
		if err == nil {
			_, err = w.Write(d)
		}
	}
	return err
}

// text appends a string as the protocol has them: to the first NUL, which ends it.
func text(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == 0 {
			s = s[:i]
			break
		}
	}
	return append(append(b, s...), 0)
}

// cut takes a string from data.
func cut(data []byte) (s string, rest []byte, ok bool) {
	i := bytes.IndexByte(data, 0)
	if i < 0 {
		return "", nil, false
	}
	return string(data[:i]), data[i+1:], true
}
