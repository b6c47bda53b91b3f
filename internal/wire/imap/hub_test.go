package imap

import (
	"context"
	"testing"

	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/internal/wire/link"
)

// watching counts the watches of mailboxes, and how often one is loaded. Mailboxes are empty but those above huge.
type watching struct {
	Backend
	n, loads int
}

const huge = 1_000_000 // a mailbox with that number or more has as many messages

func (w *watching) Watch(MailboxID, func(view.Event)) (func(), error) {
	w.n++
	return func() { w.n-- }, nil
}

func (w *watching) Load(_ context.Context, id MailboxID, add func(view.Message)) (uint32, uint64, error) {
	w.loads++
	if id.Mailbox < huge {
		return 1, 1, nil
	}
	for uid := range uint32(id.Mailbox) {
		add(view.Message{UID: uid + 1, ModSeq: 1})
	}
	return uint32(id.Mailbox) + 1, 1, nil
}

// A mailbox of a million messages was loaded anew for each SELECT, and the end of each put all other views out of memory.
func TestViewOfAMillionIsKept(t *testing.T) {
	w := &watching{}
	h := newHub(w)
	visit := func(mailbox int64) {
		t.Helper()
		s, err := h.open(t.Context(), MailboxID{Mailbox: mailbox}, &link.Transport{})
		if err != nil {
			t.Fatal(err)
		}
		h.close(s, nil)
	}
	for range 3 {
		visit(1)
		visit(huge)
		visit(2)
	}
	if w.loads != 3 {
		t.Errorf("three mailboxes were loaded %d times", w.loads)
	}
	visit(keepMessages) // and there is no room for this one
	visit(1)
	visit(huge)
	if w.loads != 4 || w.n != 3 || h.kept != 2*viewMessages+viewMessages+huge {
		t.Errorf("beside one that is too large: %d loads, %d watches, kept %d", w.loads, w.n, h.kept)
	}
	h.shutdown()
}

// Views of empty mailboxes, also of those deleted since, were kept and watched for ever.
func TestIdleViewsOfEmptyMailboxesAreBounded(t *testing.T) {
	w := &watching{}
	h := newHub(w)
	for i := range int64(2*keepMessages/viewMessages + 10) {
		s, err := h.open(t.Context(), MailboxID{Mailbox: i}, &link.Transport{})
		if err != nil {
			t.Fatal(err)
		}
		h.close(s, nil)
	}
	if most := keepMessages / viewMessages; w.n > most || len(h.views) > most || len(h.idle) > most {
		t.Errorf("%d watches, %d views, %d idle: more than %d", w.n, len(h.views), len(h.idle), most)
	}
	h.shutdown()
	if w.n != 0 {
		t.Errorf("%d watches after the shutdown", w.n)
	}
}
