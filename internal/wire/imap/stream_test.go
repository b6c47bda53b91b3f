package imap_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/imap/imaptest"
	"github.com/postrider/postrider/internal/wire/sasl"
	"github.com/postrider/postrider/test/dialogue"
)

const huge = 50 << 20

// hugeBody is 50 MiB that nobody holds.
type hugeBody struct{}

func (hugeBody) Size() int64 { return huge }
func (hugeBody) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > huge {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// hugeStore shows every message as hugeBody and forgets what is appended.
type hugeStore struct{ *imaptest.Store }

func (s hugeStore) Account(ctx context.Context, id sasl.Identity) (imap.Account, error) {
	a, err := s.Store.Account(ctx, id)
	return hugeAccount{a}, err
}

type hugeAccount struct{ imap.Account }

func (hugeAccount) Append(context.Context, imap.AppendTarget) (imap.Appender, error) {
	return hugeAppender{}, nil
}

type hugeAppender struct{}

func (hugeAppender) Add(_ context.Context, m *imap.AppendMessage) error {
	buf := make([]byte, 32<<10)
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, m.Body, buf)
	return err
}

func (hugeAppender) Commit(context.Context) (imap.AppendResult, error) {
	return imap.AppendResult{UIDValidity: 1, UIDs: []uint32{9}}, nil
}

func (hugeAppender) Close() {}

func (a hugeAccount) Select(ctx context.Context, n imap.Name) (imap.Mailbox, error) {
	m, err := a.Account.Select(ctx, n)
	return hugeMailbox{m}, err
}

type hugeMailbox struct{ imap.Mailbox }

func (hugeMailbox) Messages(_ context.Context, uids []uint32, _ imap.Want, fn func(*imap.Message) error) error {
	for _, uid := range uids {
		if err := fn(&imap.Message{UID: uid, Size: huge, Body: hugeBody{}, MIME: &mime.Message{Root: &mime.Part{End: huge}}}); err != nil {
			return err
		}
	}
	return nil
}

// TestHugeMessageIsStreamed: DESIGN §5, a 50 MiB message costs less than 1 MiB of heap in flight, in and out. Everything
// allocated is counted, freed or not.
func TestHugeMessageIsStreamed(t *testing.T) {
	s := newStore()
	config := testConfig(s)
	config.MaxMessage = 2 * huge
	srv := imap.New(hugeStore{s}, discard(), config)
	client, server := dialogue.Pipe()
	go srv.ServeConn(context.Background(), server, imap.Secure)
	defer client.Close()
	in := bufio.NewReaderSize(client, 64<<10)
	clientDo(t, client, in, "a LOGIN alice secret", "a OK")
	clientDo(t, client, in, "b SELECT INBOX", "b OK")
	piece := make([]byte, 64<<10)

	before := allocated()
	fmt.Fprintf(client, "c FETCH 1 BODY.PEEK[]\r\n")
	clientDo(t, client, in, "", "* 1 FETCH")
	if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.LimitReader(in, huge)}, piece); n != huge || err != nil {
		t.Fatal(n, err)
	}
	clientDo(t, client, in, "d NOOP", "d OK")
	if used := allocated() - before; used > 1<<20 {
		t.Errorf("FETCH of %d bytes allocated %d", huge, used)
	}

	before = allocated()
	fmt.Fprintf(client, "e APPEND INBOX {%d+}\r\n", huge)
	if _, err := io.CopyBuffer(struct{ io.Writer }{client}, io.NewSectionReader(hugeBody{}, 0, huge), piece); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(client, "\r\n")
	clientDo(t, client, in, "", "e OK [APPENDUID 1 9]")
	if used := allocated() - before; used > 1<<20 {
		t.Errorf("APPEND of %d bytes allocated %d", huge, used)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
