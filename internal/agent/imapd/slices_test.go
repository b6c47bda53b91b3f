package imapd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/test/dialogue"
)

// spoken is a session by hand.
type spoken struct {
	t    *testing.T
	conn io.Writer
	in   *bufio.Reader
}

func (w *world) spoken() *spoken {
	near, far := dialogue.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.server.ServeConn(context.Background(), far, imap.Secure)
	}()
	w.t.Cleanup(func() {
		near.Close()
		<-done
	})
	c := &spoken{w.t, near, bufio.NewReader(near)}
	_, _ = c.in.ReadString('\n')
	c.do("LOGIN ann x")
	return c
}

// do sends a command and returns the untagged answers and the tagged one.
func (c *spoken) do(command string) (untagged []string, tagged string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, "a "+command+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if line = strings.TrimSuffix(line, "\r\n"); strings.HasPrefix(line, "a ") {
			return untagged, line[2:]
		}
		untagged = append(untagged, line)
	}
}

// large is INBOX with more messages than one transaction changes.
func (w *world) large(n int) {
	w.t.Helper()
	var ds []mailstore.Delivery
	for i := range n {
		ds = append(ds, mailstore.Delivery{QueueID: queueid.New(int64(i+1), 1), Account: me,
			Email: mailstore.NewEmail{Ref: recipe.BlobRef{Pack: 1, Offset: 64, Length: 10}, Size: 10, Received: time.Unix(1, 0)}})
	}
	if _, err := w.store.Deliver(w.t.Context(), ds); err != nil {
		w.t.Fatal(err)
	}
}

// A STORE that goes in several transactions is told to its client once, or with .SILENT not at all.
func TestLargeStoreIsNotToldTwice(t *testing.T) {
	const n = 4100
	w := newWorld(t)
	w.large(n)
	c := w.spoken()
	c.do("SELECT INBOX")
	told, end := c.do(`STORE 1:* +FLAGS.SILENT (\Seen)`)
	more, _ := c.do("NOOP")
	if len(told) != 0 || len(more) != 0 || !strings.HasPrefix(end, "OK") {
		t.Errorf("silent: %d answers and %d at NOOP, %s", len(told), len(more), end)
	}
	told, _ = c.do(`STORE 1:* +FLAGS (\Flagged)`)
	if more, _ = c.do("NOOP"); len(told) != n || len(more) != 0 {
		t.Errorf("%d answers and %d at NOOP, want %d and 0", len(told), len(more), n)
	}
}

// A MOVE that fails on its way: those moved are told with their new UIDs (RFC 6851 §3.3, §4.3), and they are gone here.
func TestMoveFailsOnItsWay(t *testing.T) {
	w := newWorld(t)
	w.large(2500)
	archive, err := w.store.Mailbox(t.Context(), me, mailstore.Name{"Archive"})
	w.ok(err)
	w.ok(w.db.Write(t.Context(), func(tx *db.Tx) error { // few UIDs are left
		_, err := tx.Exec("UPDATE mailbox SET uidnext = ? WHERE account_id = ? AND mailbox_id = ?", int64(1<<32-1-2200), me, archive.ID)
		return err
	}))
	c := w.spoken()
	c.do("SELECT INBOX")
	told, end := c.do("UID MOVE 1:* Archive")
	want := fmt.Sprintf("* OK [COPYUID %d 1:2000 %d:%d] Moved", archive.UIDValidity, uint32(1<<32-1-2200), uint32(1<<32-1-2200+1999))
	if !strings.HasPrefix(end, "NO ") || len(told) != 2001 || told[0] != want || !strings.HasSuffix(told[1], " EXPUNGE") {
		t.Errorf("%s after %d answers, the first %.3q", end, len(told), told[:min(3, len(told))])
	}
	if told, _ = c.do("STATUS INBOX (MESSAGES)"); len(told) != 1 || !strings.Contains(told[0], "(MESSAGES 500)") {
		t.Errorf("%q", told)
	}
}
