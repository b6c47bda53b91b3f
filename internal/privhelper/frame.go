package privhelper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// A frame is
//
//	length(4) version(1) op fieldCount(1) field*    op, name = length(1) text    field = name length(4) value
//
// with numbers in network order. length counts what follows it. Names are of a-z, 0-9 and "-", and no name comes twice.
const (
	frameVersion = 1
	maxFields    = 16
	maxName      = 32
	// A password, a user's name, a path: no request needs more.
	maxRequest = 16 << 10
	// MaxFile is the largest file that is handed out.
	MaxFile  = 1 << 20
	maxReply = MaxFile + 4<<10
)

// errFrame is all that can be wrong with a frame.
var errFrame = errors.New("privhelper: malformed frame")

// Message is a request or a reply.
type Message struct {
	Op     string // of a request: what is wanted; of a reply: what came of it
	Fields []Field
	File   *os.File // of a delivery: the message. It travels beside the frame
}

// Field is a named value.
type Field struct {
	Name  string
	Value []byte
}

// Get returns a field's value, nil when it is not there.
func (m Message) Get(name string) []byte {
	for _, f := range m.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

func message(op string, pairs ...string) Message {
	m := Message{Op: op}
	for i := 0; i+1 < len(pairs); i += 2 {
		m.Fields = append(m.Fields, Field{pairs[i], []byte(pairs[i+1])})
	}
	return m
}

// encode writes a frame of at most limit bytes after its length.
func encode(m Message, limit int) ([]byte, error) {
	if !isName(m.Op) || len(m.Fields) > maxFields {
		return nil, fmt.Errorf("%w: %q with %d fields", errFrame, m.Op, len(m.Fields))
	}
	out := append(make([]byte, 4, 64), frameVersion, byte(len(m.Op)))
	out = append(append(out, m.Op...), byte(len(m.Fields)))
	for _, f := range m.Fields {
		if !isName(f.Name) || len(f.Value) > limit {
			return nil, fmt.Errorf("%w: field %q of %d bytes", errFrame, f.Name, len(f.Value))
		}
		out = append(append(out, byte(len(f.Name))), f.Name...)
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(f.Value))), f.Value...)
	}
	if len(out)-4 > limit {
		return nil, fmt.Errorf("%w: %d bytes, and %d are allowed", errFrame, len(out)-4, limit)
	}
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out, nil
}

// read reads a frame. What it allocates is bounded by what has come, not by what the length promises.
func read(r io.Reader, limit int) (Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Message{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > uint32(limit) {
		return Message{}, fmt.Errorf("%w: %d bytes, and %d are allowed", errFrame, n, limit)
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return Message{}, err
	}
	if len(body) < int(n) {
		return Message{}, io.ErrUnexpectedEOF
	}
	return parse(body)
}

// receive reads a frame, and takes the one descriptor that may come with its first byte (SCM_RIGHTS, unix(7)).
func receive(conn *net.UnixConn, limit int) (Message, error) {
	head, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := conn.ReadMsgUnix(head, oob)
	if err != nil {
		return Message{}, err
	}
	if n == 0 {
		return Message{}, io.EOF
	}
	file := passed(oob[:oobn])
	m, err := read(io.MultiReader(bytes.NewReader(head[:n]), conn), limit)
	if err != nil && file != nil {
		return Message{}, errors.Join(err, file.Close())
	}
	m.File = file
	return m, err
}

// passed opens what came with a frame. The kernel has dropped what did not fit into the space for one.
func passed(oob []byte) *os.File {
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(all) != 1 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&all[0])
	if err != nil {
		return nil
	}
	var first *os.File
	for i, fd := range fds {
		if i == 0 {
			first = os.NewFile(uintptr(fd), "message")
		} else {
			_ = unix.Close(fd)
		}
	}
	return first
}

// parse reads what follows the length of a frame.
func parse(body []byte) (m Message, err error) {
	d := decoder{rest: body}
	if version := d.byte(); version != frameVersion {
		return m, fmt.Errorf("%w: version %d; helper and server are of different releases", errFrame, version)
	}
	m.Op = d.name()
	count := int(d.byte())
	if count > maxFields {
		return Message{}, fmt.Errorf("%w: %d fields", errFrame, count)
	}
	for range count {
		f := Field{Name: d.name()}
		f.Value = d.take(d.uint32())
		if m.Get(f.Name) != nil {
			d.bad = true
		}
		m.Fields = append(m.Fields, f)
	}
	if d.bad || len(d.rest) > 0 {
		return Message{}, errFrame
	}
	return m, nil
}

// decoder takes a body apart; after the first thing wrong it yields nothing.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) take(n uint32) []byte {
	if d.bad || uint64(n) > uint64(len(d.rest)) {
		d.bad = true
		return []byte{}
	}
	out := d.rest[:n:n]
	d.rest = d.rest[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) name() string {
	s := string(d.take(uint32(d.byte())))
	if !isName(s) {
		d.bad = true
	}
	return s
}

func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
