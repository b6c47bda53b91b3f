package ledger

import "net"

// Tap is a connection that remembers what it read since the last Mark. For TLS
// it goes below: tls.Client(&Tap{Conn: c}, cfg). It belongs to one goroutine at
// a time.
type Tap struct {
	net.Conn
	seen []byte
}

// Read reads and remembers.
func (t *Tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.seen = append(t.seen, p[:n]...)
	return n, err
}

// Mark forgets what was read so far. Call it before the last bytes of the
// command are sent, when every earlier reply has been read.
func (t *Tap) Mark() { t.seen = t.seen[:0] }

// Reply returns the last n bytes read since Mark, fewer if there were fewer:
// the end of the acknowledgement as it was on the wire. A TLS record cannot be
// read before its end has come, so its last bytes are the moment it counts.
func (t *Tap) Reply(n int) []byte {
	return append([]byte(nil), t.seen[max(0, len(t.seen)-n):]...)
}

// Peer is this end's address: the server's strace shows it as the other end.
func (t *Tap) Peer() string { return t.LocalAddr().String() }
