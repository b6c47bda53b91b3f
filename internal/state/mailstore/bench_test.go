package mailstore_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/schema"
)

var logFlag = flag.Int64("log", 0, "in the benchmarks, the size of the write-ahead log that starts a checkpoint, MiB; 0: the shipped one")

// benchStore is a mailstore on the disk that TMPDIR names, with the shipped settings, and the accounts 1 to n.
func benchStore(b *testing.B, n int) (*mailstore.Store, *db.DB) {
	b.Helper()
	d, err := db.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"), db.Options{Schema: schema.Store, CheckpointBytes: *logFlag << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	s := mailstore.New(mailstore.Options{DB: d, Blobs: packs{}})
	for account := range n {
		if err := s.CreateAccount(b.Context(), int64(account+1)); err != nil {
			b.Fatal(err)
		}
	}
	return s, d
}

// incoming makes deliveries of messages as they come: records one behind the other, 10 KiB each, each with a Message-ID of
// its own, every third a reply to an earlier one.
type incoming struct {
	n   int64
	rng *rand.Rand
}

func (in *incoming) next(account int64) mailstore.Delivery {
	in.n++
	th := mailstore.Threading{MessageID: fmt.Sprintf("%d@far.example", in.n)}
	if in.n%3 == 0 {
		th.References = []string{fmt.Sprintf("%d@far.example", in.n-in.n/4)}
	}
	return mailstore.Delivery{QueueID: queueid.New(in.n, 1), Account: account, Email: mailstore.NewEmail{
		Ref:      recipe.BlobRef{Pack: 1 + in.n/25_000, Offset: 64 + in.n%25_000*10_240, Length: 10_240},
		Literals: []byte("Return-Path: <somebody@far.example>\r\nDelivered-To: user@here.example\r\n"),
		Size:     10_400, Received: time.Unix(1_800_000_000+in.n, 0), Structure: make([]byte, 450), Thread: th}}
}

func benchCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDeliver is deliveries in transactions of several sizes, to many accounts and to one. pages/msg counts what the
// write-ahead log got: a commit writes each page that it changed once.
func BenchmarkDeliver(b *testing.B) {
	for _, accounts := range []int{1, 100, 5000} {
		for _, batch := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("accounts=%d/batch=%d", accounts, batch), func(b *testing.B) {
				s, d := benchStore(b, accounts)
				in := incoming{rng: rand.New(rand.NewPCG(1, 2))}
				put := func(n int) {
					for n > 0 {
						ds := make([]mailstore.Delivery, min(batch, n))
						for i := range ds {
							ds[i] = in.next(1 + in.rng.Int64N(int64(accounts)))
						}
						if _, err := s.Deliver(context.Background(), ds); err != nil {
							b.Fatal(err)
						}
						n -= len(ds)
					}
				}
				put(1000) // so that the tables have more than one page
				before, cpu := d.Stats(), benchCPU()
				b.ReportAllocs()
				b.ResetTimer()
				put(b.N)
				b.StopTimer()
				after := d.Stats()
				b.ReportMetric(float64((benchCPU()-cpu).Microseconds())/float64(b.N), "µs-cpu/msg")
				b.ReportMetric(float64(after.Written-before.Written)/float64(b.N), "pages/msg")
			})
		}
	}
}
