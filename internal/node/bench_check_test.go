package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// BenchmarkCheck checks 100,000 messages of 4 KiB in one mailbox, each a record of its own; one operation is one check.
func BenchmarkCheck(b *testing.B) {
	const count = 100_000
	c := testConfig(b, b.TempDir())
	n, stop := start(b, c)
	addUser(b, n, "alice", "pw")
	fillWithRecords(b, n, count)
	run := func(name string, q admin.CheckQuery, check func(admin.CheckQuery, func(admin.CheckEvent) error) error) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var sum admin.CheckSummary
				if err := check(q, func(e admin.CheckEvent) error {
					if e.Summary != nil {
						sum = *e.Summary
					}
					return nil
				}); err != nil || !sum.Clean || sum.Emails != count {
					b.Fatal(err, sum)
				}
			}
		})
	}
	online := func(q admin.CheckQuery, each func(admin.CheckEvent) error) error {
		return n.API().Check(b.Context(), q, each)
	}
	run("light/online", admin.CheckQuery{}, online)
	run("deep/online", admin.CheckQuery{Deep: true}, online)
	stop()
	offline := func(q admin.CheckQuery, each func(admin.CheckEvent) error) error {
		return CheckOffline(b.Context(), Options{Config: c}, q, each)
	}
	run("light/offline", admin.CheckQuery{}, offline)
	run("deep/offline", admin.CheckQuery{Deep: true}, offline)
	run("rebuild", admin.CheckQuery{Rebuild: true}, func(q admin.CheckQuery, each func(admin.CheckEvent) error) error {
		for _, tail := range sqliteFiles {
			if err := os.Remove(filepath.Join(c.DataDir, databaseFile) + tail); err != nil && tail == "" {
				return err
			}
		}
		return offline(q, each)
	})
}

// fillWithRecords puts messages into alice's INBOX, each with a record of its own.
func fillWithRecords(b *testing.B, n *Node, count int) {
	b.Helper()
	accounts, err := n.directory.ListAccounts(b.Context(), "here.example")
	if err != nil {
		b.Fatal(err)
	}
	var alice int64
	for _, a := range accounts {
		if a.Address.Local == "alice" {
			alice = a.ID
		}
	}
	body := strings.Repeat("It is a long way from here to there, and back again.\r\n", 70)
	const each, at = 1000, 50
	for first := 0; first < count; first += each {
		list := make([]mailstore.Imported, each)
		var failed [at]error
		done := make(chan struct{}, at)
		for w := range at {
			go func() {
				defer func() { done <- struct{}{} }()
				for i := w; i < each && failed[w] == nil; i += at {
					failed[w] = storeMessage(b.Context(), n, fmt.Sprintf("From: s%d@far.example\r\nSubject: message %d\r\nMessage-ID: <%d@far.example>\r\n\r\n%s", i, first+i, first+i, body), alice, &list[i])
				}
			}()
		}
		for range at {
			<-done
		}
		for _, err := range failed {
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := n.store.Import(b.Context(), alice, mailstore.Inbox(), list); err != nil {
			b.Fatal(err)
		}
		for _, m := range list {
			n.intake.Settled(m.Email.Ref)
		}
	}
}

func storeMessage(ctx context.Context, n *Node, text string, account int64, in *mailstore.Imported) error {
	m, err := n.intake.Begin(ctx, n.ids.Next(), int64(len(text)))
	if err != nil {
		return err
	}
	if _, err := m.Write([]byte(text)); err != nil {
		m.Abort()
		return err
	}
	m.Close()
	in.Email = mailstore.NewEmail{Size: m.Size(), Received: time.Unix(1_800_000_000, 0), Structure: m.Index.Encode(),
		Thread: mailstore.Threading{MessageID: m.Index.Envelope.ID()}}
	in.Email.Ref, err = m.Store(ctx, &flow.Append{Account: account, InternalDate: in.Email.Received, Message: recipe.Whole(m.Self()), Index: in.Email.Structure})
	return err
}
