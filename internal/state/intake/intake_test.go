package intake

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/queue"
)

func open(t *testing.T) *Intake {
	t.Helper()
	store, err := blob.NewMemory(t.Context(), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.Background()); err != nil && !errors.Is(err, status.ErrShutdown) {
			t.Error(err)
		}
	})
	// Never started: what it takes stays.
	return &Intake{Blobs: store, Queue: queue.New(queue.Options{DB: dbtest.Open(t), Journal: store})}
}

func begin(t *testing.T, in *Intake, micros int64) *Message {
	t.Helper()
	m, err := in.Begin(t.Context(), queueid.New(micros, 1), 0)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The header is found wherever the pieces end.
func TestHeaderAtEachBoundary(t *testing.T) {
	in := open(t)
	for _, c := range []struct{ text, head string }{
		{"A: b\r\nC: d\r\n\r\nbody\r\n\r\nmore\r\n", "A: b\r\nC: d\r\n\r\n"},
		{"A: b\r\n folded\r\n\r\n", "A: b\r\n folded\r\n\r\n"},
		{"A: b\r\n \r\n\r\nbody\r\n", "A: b\r\n \r\n\r\n"},
		{"\r\nbody\r\n\r\nA: b\r\n\r\n", "\r\n"},
		{"\nbody\n\nA: b\n\n", "\n"},
		{"A: b\n\nbody\r\n\r\n", "A: b\n\n"},
		{"A: b\n\r\nbody\n\n", "A: b\n\r\n"},
		{"A: b\r\n", "A: b\r\n"},
		{"A: b\r\n\r", "A: b\r\n\r"},
		{"", ""},
	} {
		for i := range len(c.text) + 1 {
			for j := i; j <= len(c.text); j++ {
				m := begin(t, in, 1)
				for _, piece := range []string{c.text[:i], c.text[i:j], c.text[j:]} {
					if n, err := io.WriteString(m, piece); n != len(piece) || err != nil {
						t.Fatal(n, err)
					}
				}
				m.Close()
				if string(m.Head()) != c.head || m.Size() != int64(len(c.text)) || m.Header.Count("A") != strings.Count(c.head, "A: ") || m.HeaderComplete() != nil {
					t.Fatalf("%q cut at %d and %d: head %q, size %d", c.text, i, j, m.Head(), m.Size())
				}
				m.Abort()
			}
		}
	}
}

func TestLongHeader(t *testing.T) {
	in := open(t)
	field := "X: " + strings.Repeat("x", 97-4) + "\r\n" // 98 bytes
	for _, c := range []struct {
		size int // of the header with its empty line
		err  error
	}{{mime.MaxTopHeader - 1, nil}, {mime.MaxTopHeader, nil}, {mime.MaxTopHeader + 1, ErrHeader}, {mime.MaxTopHeader + 70_000, ErrHeader}} {
		head := strings.Repeat(field, c.size/len(field)-1)
		head += "Y: " + strings.Repeat("y", c.size-len(head)-7) + "\r\n\r\n"
		if len(head) != c.size {
			t.Fatal(len(head), c.size)
		}
		for _, piece := range []int{1000, 4096, 65_536, 1 << 20} {
			m := begin(t, in, 1)
			for text := head + "body\r\n"; text != ""; {
				n := min(piece, len(text))
				if _, err := io.WriteString(m, text[:n]); err != nil {
					t.Fatal(err)
				}
				text = text[n:]
			}
			m.Close()
			if err := m.HeaderComplete(); !errors.Is(err, c.err) || len(m.Head()) != min(c.size, mime.MaxTopHeader) {
				t.Errorf("header of %d in pieces of %d: %v, kept %d", c.size, piece, err, len(m.Head()))
			}
			m.Abort()
		}
	}
}

func job(m *Message, micros int64, rcpts ...flow.Recipient) *flow.Job {
	return &flow.Job{ID: queueid.New(micros, 1), Received: time.Unix(1, 0), Message: recipe.Whole(m.Self()).Prepend([]byte("Received: x\r\n")),
		Index: m.Index.Encode(), Recipients: rcpts}
}

func TestAcceptIsDurableAndQueued(t *testing.T) {
	in := open(t)
	m := begin(t, in, 1)
	_, _ = io.WriteString(m, "Subject: x\r\n\r\nbody\r\n")
	m.Close()
	j := job(m, 1, flow.Recipient{Transport: flow.Mailbox, Account: 1})
	if err := m.Accept(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	m.Abort() // does nothing any more
	if in.Blobs.Unsettled() != 1 || in.Queue.Counts()["incoming"] != 1 || j.Record.IsZero() {
		t.Fatalf("unsettled %d, queue %v, record %v", in.Blobs.Unsettled(), in.Queue.Counts(), j.Record)
	}
	trailer, err := in.Blobs.Trailer(t.Context(), j.Record)
	if err != nil {
		t.Fatal(err)
	}
	back, err := flow.DecodeJob(trailer)
	if err != nil || back.ID != j.ID {
		t.Fatalf("%+v %v", back, err)
	}
	text, err := io.ReadAll(recipe.NewReader(in.Blobs, j.Message))
	if err != nil || string(text) != "Received: x\r\nSubject: x\r\n\r\nbody\r\n" {
		t.Fatalf("%q %v", text, err)
	}
	// The same id again, as a notification made twice: taken, and the first one stands.
	m = begin(t, in, 1)
	m.Close()
	if err := m.Accept(t.Context(), job(m, 1, flow.Recipient{Transport: flow.Mailbox, Account: 1})); err != nil {
		t.Fatal(err)
	}
	// A message for nobody (all discarded) is settled at once.
	m = begin(t, in, 2)
	m.Close()
	if err := m.Accept(t.Context(), job(m, 2)); err != nil {
		t.Fatal(err)
	}
	if in.Blobs.Unsettled() != 1 || in.Queue.Counts()["incoming"] != 1 {
		t.Fatalf("unsettled %d, queue %v", in.Blobs.Unsettled(), in.Queue.Counts())
	}
}

func TestAbortAndFailedCommitLeaveNothing(t *testing.T) {
	in := open(t)
	m := begin(t, in, 1)
	_, _ = io.WriteString(m, "Subject: x\r\n\r\n"+strings.Repeat("long\r\n", 100_000)) // streamed
	m.Abort()
	m.Abort()
	if _, err := io.WriteString(m, "x"); err == nil || m.Err() == nil {
		t.Fatalf("written after the end: %v, %v", err, m.Err())
	}
	m = begin(t, in, 2)
	m.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Accept(ended, job(m, 2, flow.Recipient{Transport: flow.Mailbox})); err == nil {
		t.Fatal("accepted after the end of the connection")
	}
	m = begin(t, in, 3)
	m.Close()
	huge := job(m, 3, flow.Recipient{Transport: flow.Mailbox})
	huge.Index = make([]byte, 5<<20)
	if err := m.Accept(t.Context(), huge); !status.IsTemporary(err) {
		t.Fatalf("trailer without end: %v", err)
	}
	if in.Blobs.Unsettled() != 0 || in.Queue.Counts()["incoming"] != 0 {
		t.Fatalf("unsettled %d, queue %v", in.Blobs.Unsettled(), in.Queue.Counts())
	}
	m = begin(t, in, 4)
	m.Close()
	if err := in.Blobs.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Accept(t.Context(), job(m, 4, flow.Recipient{Transport: flow.Mailbox})); !errors.Is(err, status.ErrShutdown) {
		t.Fatalf("accepted by closed packs: %v", err)
	}
	if in.Queue.Counts()["incoming"] != 0 {
		t.Fatal("queued without being durable")
	}
}
