package imap_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/test/dialogue"
)

func dial(t *testing.T, srv *imap.Server, options *imapclient.Options) *imapclient.Client {
	t.Helper()
	client, server := dialogue.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.ServeConn(context.Background(), server, imap.Secure)
	}()
	c := imapclient.New(client, options)
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	if err := c.Login("alice", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSecondOpinion has another implementation's client read what we write.
func TestSecondOpinion(t *testing.T) {
	s := newStore()
	c := dial(t, newServer(s, testConfig(s)), nil)
	boxes, err := c.List("", "*", &goimap.ListOptions{ReturnStatus: &goimap.StatusOptions{NumMessages: true}}).Collect()
	if err != nil || len(boxes) != 6 || boxes[0].Mailbox != "INBOX" || *boxes[0].Status.NumMessages != 2 {
		t.Fatalf("%+v, %v", boxes, err)
	}
	sel, err := c.Select("INBOX", nil).Wait()
	if err != nil || sel.NumMessages != 2 || sel.UIDNext != 3 || sel.UIDValidity != 1001 {
		t.Fatalf("%+v, %v", sel, err)
	}
	section := &goimap.FetchItemBodySection{Peek: true}
	part := &goimap.FetchItemBodySection{Peek: true, Part: []int{2, 1}}
	msgs, err := c.Fetch(goimap.SeqSetNum(1, 2), &goimap.FetchOptions{Envelope: true, Flags: true, UID: true, RFC822Size: true,
		InternalDate: true, BodyStructure: &goimap.FetchItemBodyStructure{Extended: true}, BodySection: []*goimap.FetchItemBodySection{section, part}}).Collect()
	if err != nil || len(msgs) != 2 {
		t.Fatalf("%d messages, %v", len(msgs), err)
	}
	if m := msgs[1]; m.Envelope.Subject != "Café" || m.UID != 2 || string(m.FindBodySection(section)) != nestedMessage ||
		string(m.FindBodySection(part)) != "Inner body" || m.RFC822Size != int64(len(nestedMessage)) ||
		m.BodyStructure.MediaType() != "multipart/mixed" {
		t.Fatalf("%+v", m)
	}
	inner, ok := msgs[1].BodyStructure.(*goimap.BodyStructureMultiPart).Children[1].(*goimap.BodyStructureSinglePart)
	if !ok || inner.MessageRFC822 == nil || inner.MessageRFC822.Envelope.Subject != "Inner" {
		t.Fatalf("%+v", inner)
	}
	clientChanges(t, c)
}

// clientChanges is the commands that change something.
func clientChanges(t *testing.T, c *imapclient.Client) {
	t.Helper()
	body := []byte("Subject: appended\r\n\r\nhello\r\n")
	cmd := c.Append("INBOX", int64(len(body)), &goimap.AppendOptions{Flags: []goimap.Flag{goimap.FlagFlagged}})
	if _, err := cmd.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Close(); err != nil {
		t.Fatal(err)
	}
	if data, err := cmd.Wait(); err != nil || data.UID != 3 {
		t.Fatalf("APPEND: %+v, %v", data, err)
	}
	found, err := c.UIDSearch(&goimap.SearchCriteria{Header: []goimap.SearchCriteriaHeaderField{{Key: "Subject", Value: "APPEND"}},
		Flag: []goimap.Flag{goimap.FlagFlagged}}, &goimap.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait()
	if err != nil || found.Count != 1 || !slices.Equal(found.AllUIDs(), []goimap.UID{3}) {
		t.Fatalf("SEARCH: %+v, %v", found, err)
	}
	if err := c.Create("Über/Größe", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	copied, err := c.Copy(goimap.UIDSetNum(3), "Über/Größe").Wait()
	if err != nil || copied.DestUIDs.String() != "1" {
		t.Fatalf("COPY: %+v, %v", copied, err)
	}
	moved, err := c.Move(goimap.UIDSetNum(1), "Trash").Wait()
	if err != nil || moved == nil {
		t.Fatalf("MOVE: %+v, %v", moved, err)
	}
	if err := c.Store(goimap.UIDSetNum(3), &goimap.StoreFlags{Op: goimap.StoreFlagsAdd, Flags: []goimap.Flag{goimap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	gone, err := c.UIDExpunge(goimap.UIDSetNum(3)).Collect()
	if err != nil || len(gone) != 1 {
		t.Fatalf("EXPUNGE: %v, %v", gone, err)
	}
	if st, err := c.Status("INBOX", &goimap.StatusOptions{NumMessages: true, Size: true}).Wait(); err != nil || *st.NumMessages != 1 {
		t.Fatalf("STATUS: %+v, %v", st, err)
	}
	if ns, err := c.Namespace().Wait(); err != nil || ns.Personal[0].Delim != '/' {
		t.Fatalf("NAMESPACE: %+v, %v", ns, err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestIdleTellsNewMail: what is delivered while a client idles reaches it at once.
func TestIdleTellsNewMail(t *testing.T) {
	s := newStore()
	exists := make(chan uint32, 10)
	c := dial(t, newServer(s, testConfig(s)), &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				exists <- *data.NumMessages
			}
		}}})
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		s.Deliver("alice", imap.Name{"INBOX"}, plainMessage, view.Flags{})
		if got := <-exists; got != uint32(3+n) {
			t.Fatalf("EXISTS %d after %d deliveries", got, n+1)
		}
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestAllBytesComeBack: every byte value in a body, through APPEND and FETCH, whole and in pieces.
func TestAllBytesComeBack(t *testing.T) {
	s := newStore()
	c := dial(t, newServer(s, testConfig(s)), nil)
	body := []byte("Subject: bytes\r\n\r\n")
	for i := range 60_000 {
		body = append(body, byte(i%255)+1)
	}
	cmd := c.Append("INBOX", int64(len(body)), nil)
	if _, err := cmd.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*goimap.SectionPartial{nil, {Offset: 17, Size: 40_000}, {Offset: 59_999, Size: 100}} {
		section := &goimap.FetchItemBodySection{Peek: true, Partial: p}
		msgs, err := c.Fetch(goimap.SeqSetNum(3), &goimap.FetchOptions{BodySection: []*goimap.FetchItemBodySection{section}}).Collect()
		if err != nil || len(msgs) != 1 {
			t.Fatal(msgs, err)
		}
		want := body
		if p != nil {
			want = body[p.Offset:min(p.Offset+p.Size, int64(len(body)))]
		}
		if got := msgs[0].BodySection[0].Bytes; !bytes.Equal(got, want) {
			t.Fatalf("%v: %d bytes, want %d", p, len(got), len(want))
		}
	}
}
