package imap

import (
	"context"
	"testing"

	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/internal/wire/link"
)

// watching counts the watches of mailboxes that are all empty.
type watching struct {
	Backend
	n int
}

func (w *watching) Watch(MailboxID, func(view.Event)) (func(), error) {
	w.n++
	return func() { w.n-- }, nil
}

func (w *watching) Load(context.Context, MailboxID, func(view.Message)) (uint32, uint64, error) {
	return 1, 1, nil
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
