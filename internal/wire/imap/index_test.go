package imap_test

import (
	"context"
	"slices"
	"testing"

	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/imaptest"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

// indexed is a store whose mailboxes have an index that knows message 2 alone, and counts what is asked of it.
type indexed struct {
	*imaptest.Store
	asked *[]string
}

func (s indexed) Account(ctx context.Context, id sasl.Identity) (imap.Account, error) {
	a, err := s.Store.Account(ctx, id)
	return indexedAccount{a, s.asked}, err
}

type indexedAccount struct {
	imap.Account
	asked *[]string
}

func (a indexedAccount) Select(ctx context.Context, n imap.Name) (imap.Mailbox, error) {
	m, err := a.Account.Select(ctx, n)
	return indexedMailbox{m, a.asked}, err
}

type indexedMailbox struct {
	imap.Mailbox
	asked *[]string
}

func (m indexedMailbox) SearchText(_ context.Context, in imap.TextField, needle string, uids []uint32) ([]uint32, bool, error) {
	*m.asked = append(*m.asked, needle)
	if in.Header != "" || !slices.Contains(uids, 2) {
		return nil, in.Header == "", nil
	}
	return []uint32{2}, true, nil
}

// TestIndexAnswers: text keys go to the index, wherever they stand, and only those that it cannot answer to the messages.
func TestIndexAnswers(t *testing.T) {
	s := newStore()
	var asked []string
	srv := imap.New(indexed{s, &asked}, discard(), testConfig(s))
	client, server := dialogue.Pipe()
	go srv.ServeConn(context.Background(), server, imap.Secure)
	defer client.Close()
	p := newPeer(t, client)
	p.send("a LOGIN alice secret")
	p.until("a OK")
	p.send("b SELECT INBOX")
	p.until("b OK")
	for _, c := range []struct {
		keys, want string
		asked      []string
	}{
		{"TEXT NoSuchWord", "* SEARCH 2", []string{"nosuchword"}},
		{"NOT BODY zebra", "* SEARCH 1", []string{"zebra"}},
		{"OR SEEN TEXT zebra", "* SEARCH 1 2", []string{"zebra"}},
		{"SEEN TEXT zebra", "* SEARCH", []string{"zebra"}},
		{"SUBJECT first", "* SEARCH 1", []string{"first"}}, // the index declines
		{"DELETED TEXT zebra", "* SEARCH", nil},            // nothing left to ask about
	} {
		asked = nil
		p.send("c SEARCH " + c.keys)
		if got := p.until("* SEARCH"); got != c.want || !slices.Equal(asked, c.asked) {
			t.Errorf("%s: %s, asked %q", c.keys, got, asked)
		}
		p.until("c OK")
	}
}
