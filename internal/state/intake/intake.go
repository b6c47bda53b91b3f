// Package intake is the one acceptance pipeline: the bytes of a message go in one pass into the packs and through the
// MIME parser, the plan goes into the record's trailer, and when the record is durable the job enters the queue. Who has
// called Accept without error may answer 250.
//
// mx, msa, LMTP, local submission and the notifications of the queue accept through it; IMAP APPEND and import store
// through it without a job.
//
// It decides nothing about the message and never changes its bytes: what the caller adds or removes is the recipe. What is
// too long for a literal of the recipe, such as a body that a milter replaced, Append puts into the same record behind the
// bytes that came.
//
// Failures are those of package blob: status.ErrNoSpace (temporary, the server goes on) and status.ErrFatal.
package intake

import (
	"context"
	"sync"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/queue"
)

// Intake accepts messages.
type Intake struct {
	Blobs *blob.Store
	Queue *queue.Queue

	parsers sync.Pool // of *mime.Parser
}

// Message is a message on its way in. It is not safe for concurrent use. Each ends with Accept, Store or Abort.
type Message struct {
	in     *Intake
	id     queueid.ID
	w      *blob.Writer
	parser *mime.Parser
	err    error // of the packs
	size   int64 // of the message as received, once Close was called

	// Set by Close.
	head   []byte         // the top header
	whole  bool           // it is not longer than mime.MaxTopHeader
	Header *header.Header // the same, valid until Abort; offsets count from the start of the body in the pack
	Index  *mime.Message  // of the bytes as received
}

// Begin begins a message with its queue id; sizeHint is its expected size in bytes, 0 when unknown.
func (in *Intake) Begin(ctx context.Context, id queueid.ID, sizeHint int64) (*Message, error) {
	w, err := in.Blobs.Create(ctx, id, sizeHint)
	if err != nil {
		return nil, err
	}
	parser, _ := in.parsers.Get().(*mime.Parser)
	if parser == nil {
		parser = mime.NewParser()
	}
	return &Message{in: in, id: id, w: w, parser: parser}, nil
}

// Write takes bytes of the message.
func (m *Message) Write(p []byte) (int, error) {
	n, err := m.w.Write(p) // fails after the end
	if err != nil {
		m.err = err
		return n, err
	}
	return m.parser.Write(p)
}

// Err is the failure of the packs that ended Write; nil when what failed was the source of the bytes.
func (m *Message) Err() error { return m.err }

// Close ends the bytes and sets Header and Index.
func (m *Message) Close() {
	m.Index = m.parser.Close()
	m.head, m.Header, m.whole = m.parser.Top()
	m.size = m.w.Size()
}

// Head is the top header as received, with its empty line if it has one; valid until Abort.
func (m *Message) Head() []byte { return m.head }

// ErrHeader refuses a message whose header must be changed and is too long for that.
var ErrHeader = status.Perm(552, 3, 4, "Message header is too large: the limit is 256 KiB")

// HeaderComplete returns ErrHeader when the top header is longer than what Header has.
func (m *Message) HeaderComplete() error {
	if !m.whole {
		return ErrHeader
	}
	return nil
}

// Size is the number of bytes received; known after Close.
func (m *Message) Size() int64 { return m.size }

// Append puts bytes that are not the client's behind those that came, after Close, and returns where they begin. They are
// part of the record, and of the message where its recipe says so.
func (m *Message) Append(p []byte) (at int64, err error) {
	at = m.w.Size()
	if _, err := m.w.Write(p); err != nil {
		m.err = err
		return 0, err
	}
	return at, nil
}

// ReadAt reads what was received and appended so far, before it is accepted.
func (m *Message) ReadAt(p []byte, off int64) (int, error) { return m.w.ReadAt(p, off) }

// ReadBodyAt implements recipe.Source for recipes of Self.
func (m *Message) ReadBodyAt(_ recipe.BlobRef, p []byte, off int64) error {
	_, err := m.w.ReadAt(p, off)
	return err
}

// Self is the reference that stands for this message's record in recipes until its place is known; with what Append has put
// there so far.
func (m *Message) Self() recipe.BlobRef {
	ref := flow.Self
	ref.Length = m.w.Size()
	return ref
}

// Accept makes the job durable and gives it to the queue. The job's recipe refers to the body by Self.
func (m *Message) Accept(ctx context.Context, job *flow.Job) error {
	ref, err := m.w.Commit(ctx, flow.AppendJob(make([]byte, 0, 640+len(job.Index)), job))
	if err != nil {
		return err
	}
	job.Bind(ref)
	if err := m.in.Queue.Submit(job, ref); err != nil {
		m.in.Blobs.Settle(ref) // the queue has this id already: the other one stands for it
		return nil
	}
	return nil
}

// Store makes the message durable without a job. The caller calls Settled when the mailstore has the message, or has
// refused it.
func (m *Message) Store(ctx context.Context, a *flow.Append) (recipe.BlobRef, error) {
	return m.w.Commit(ctx, flow.AppendAppend(nil, a))
}

// Settled tells the journal that a stored message needs no replay.
func (in *Intake) Settled(ref recipe.BlobRef) { in.Blobs.Settle(ref) }

// Abort drops a message that was not accepted; after Accept or Store it only gives its buffers back.
func (m *Message) Abort() {
	m.w.Abort()
	if m.parser != nil {
		m.parser.Reset()
		m.in.parsers.Put(m.parser)
		m.parser = nil
	}
	m.head, m.Header = nil, nil
}
