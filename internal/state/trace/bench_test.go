package trace

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/vfs"
)

// message is what a delivered message leaves in the trace.
func message(t *Trace, i int) queueid.ID {
	mixed := uint64(i+1) * 0x9E3779B97F4A7C15 // what does not compress
	id := queueid.New(int64(i)*1000+1_700_000_000_000_000+int64(mixed>>54), 1)
	p := peer(fmt.Sprint("smtp-", i), fmt.Sprintf("198.18.%d.%d", mixed>>56, mixed>>48&255))
	to := fmt.Sprintf("user%d@here.example", i%1000)
	t.Emit(obs.Connect{Peer: p})
	t.Emit(obs.Judged{Peer: p, ID: id, To: []string{to}, Rules: []obs.Rule{{Stage: "rcpt", Rule: "smtpd_relay_restrictions: permit_mynetworks", Result: "permit"}},
		Routes: []obs.Rule{{Rule: "class", Key: to, Result: "local"}, {Rule: "directory", Key: to, Result: to}, {Rule: "transport", Key: to, Result: "mailbox"}}})
	t.Emit(obs.Accepted{Peer: p, ID: id, From: sender(i), MessageID: messageID(i), Size: 10240, Nrcpt: 1})
	t.Emit(obs.Disconnect{Peer: p})
	t.Emit(obs.Delivery{ID: id, To: address.Address{Local: fmt.Sprintf("user%d", i%1000), Domain: "here.example"}, Transport: "mailbox", Relay: "local", Outcome: obs.Sent, Text: "delivered to mailbox"})
	t.Emit(obs.Removed{ID: id})
	return id
}

func sender(i int) address.Address {
	return rcpt(fmt.Sprint("sender", i), fmt.Sprintf("far%d.example", uint64(i+1)*0x9E3779B97F4A7C15>>52))
}

func messageID(i int) string { return fmt.Sprintf("%016x@far.example", uint64(i+1)*0xD1342543DE82EF95) }

// BenchmarkEmit is the cost of a message's records, compression and all, and the disk space that they take.
func BenchmarkEmit(b *testing.B) {
	dir := b.TempDir()
	tr := New(Options{FS: vfs.OS{}, Dir: dir, Run: 1, Now: time.Now, Log: slog.New(slog.DiscardHandler), Limits: generous})
	b.ReportAllocs()
	for i := range b.N {
		if message(tr, i); i%1000 == 0 {
			tr.Flush()
		}
	}
	tr.Close()
	b.StopTimer()
	var size int64
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			size += info.Size()
		}
	}
	b.ReportMetric(float64(size)/float64(b.N), "bytes/msg")
	b.ReportMetric(0, "lost") // of which there are none, or the rest means nothing
	if n := tr.lost.Load(); n > 0 {
		b.Fatalf("%d lines lost", n)
	}
}

// BenchmarkSearch finds one message among many.
func BenchmarkSearch(b *testing.B) {
	const many = 200_000
	dir := b.TempDir()
	tr := New(Options{FS: vfs.OS{}, Dir: filepath.Join(dir, "data/trace"), Run: 1, Now: time.Now, Log: slog.New(slog.DiscardHandler), Limits: generous})
	var id queueid.ID
	for i := range many {
		if got := message(tr, i); i == many/3 {
			id = got
		}
		if i%1000 == 0 {
			tr.Flush()
		}
	}
	tr.Close()
	for name, what := range map[string]string{"id": id.String(), "message-id": messageID(many / 3), "address": sender(many / 3).String()} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				r, err := Search(b.Context(), vfs.OS{}, filepath.Join(dir, "data/trace"), Query{What: what})
				if err != nil || len(r.Stories) != 1 || len(r.Stories[0].Records) != 6 {
					b.Fatalf("%v %v", r, err)
				}
			}
		})
	}
}
