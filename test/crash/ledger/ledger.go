// Package ledger is the client's side of a crash proof: which messages were
// acknowledged, by which bytes, and how those bytes and the message are found
// again in a trace.
//
// An acknowledgement is known by the bytes that arrived, not by what they mean,
// so it is found behind TLS as well: Tap, put under a TLS client, records the
// ciphertext of the reply.
//
// Files: ledger.go (Ack, Book), tap.go (recording connection), find.go (many
// patterns in one pass; the place of each acknowledgement in a trace).
package ledger

import "sync"

// Ack is one acknowledged message.
type Ack struct {
	ID   string // names the message to the system's own listing and in reports
	Kind string // chooses the promise, e.g. "250", "APPENDUID"
	// Marks are byte strings, each at least MinPattern long, that occur in this
	// message and nowhere else, and that reach the disk unchanged: a token in
	// the subject and body, further ones spread over a long message. Every write
	// that contains one of them carries the message.
	Marks []string
	// Reply is the acknowledgement as it was on the wire: the line, or the end
	// of the TLS record. It must differ from every other reply to the same Peer.
	Reply []byte
	// Gone turns the promise round: what ID names is not there any more. From the command on, until its
	// acknowledgement, nothing is owed of that ID.
	Gone bool
	// Before is the reply on the same connection after which the command was sent. A Gone needs it, and a promise
	// that looks for what was written since then (order.Promise.Since).
	Before []byte
	// Peer is the client's address as host:port; with it only writes to this
	// connection count. Empty: all sockets.
	Peer string
}

// Book collects acknowledgements from many clients.
type Book struct {
	mu   sync.Mutex
	acks []Ack
}

// Add enters some. Call it as soon as the reply has been read.
func (b *Book) Add(acks ...Ack) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acks = append(b.acks, acks...)
}

// Acks returns a copy of all entries.
func (b *Book) Acks() []Ack {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Ack(nil), b.acks...)
}
