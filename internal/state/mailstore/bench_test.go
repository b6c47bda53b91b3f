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

var sizeFlag = flag.Int("size", 100_000, "messages in the largest mailbox of BenchmarkLargeMailbox")

// BenchmarkLargeMailbox is commands on all messages of a mailbox, by its size: how long each takes for a message, and how
// long a delivery to another account waited meanwhile at most. -size 1000000 goes on to a million.
func BenchmarkLargeMailbox(b *testing.B) {
	for size := 1000; size <= *sizeFlag; size *= 10 {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for range b.N {
				largeMailbox(b, size)
			}
		})
	}
}

func largeMailbox(b *testing.B, size int) {
	ctx := context.Background()
	s, d := benchStore(b, 2)
	in := &incoming{}
	timed := func(what string, fn func() error) {
		stall := stalls(b, s)
		began, pages := time.Now(), d.Stats().Written
		if err := fn(); err != nil {
			b.Fatal(what, err)
		}
		took := time.Since(began)
		b.ReportMetric(float64(took.Nanoseconds())/1000/float64(size), what+"-µs/msg")
		b.ReportMetric(float64(d.Stats().Written-pages)/float64(size), what+"-pages/msg")
		b.ReportMetric(float64(stall().Milliseconds()), what+"-stall-ms")
	}
	all := []mailstore.Range{{First: 1, Last: 1<<32 - 1}}
	timed("deliver", func() error {
		for left := size; left > 0; {
			ds := make([]mailstore.Delivery, min(64, left))
			for i := range ds {
				ds[i] = in.next(1)
			}
			if _, err := s.Deliver(ctx, ds); err != nil {
				return err
			}
			left -= len(ds)
		}
		return nil
	})
	inbox, err := s.Mailbox(ctx, 1, mailstore.Inbox())
	if err != nil {
		b.Fatal(err)
	}
	copies, err := s.CreateMailbox(ctx, 1, mailstore.Name{"Copies"}, "")
	if err != nil {
		b.Fatal(err)
	}
	timed("store", func() error {
		_, _, err := s.StoreFlags(ctx, 1, inbox.ID, all, mailstore.FlagChange{Op: mailstore.AddFlags, Flags: mailstore.Seen})
		return err
	})
	timed("copy", func() error {
		for from := 1; from <= size; from += 100_000 { // more at once is refused
			part := []mailstore.Range{{First: uint32(from), Last: uint32(from + 99_999)}}
			if _, _, err := s.Copy(ctx, 1, inbox.ID, part, copies.Name); err != nil {
				return err
			}
		}
		return nil
	})
	timed("move", func() error {
		_, _, err := s.Move(ctx, 1, copies.ID, all, mailstore.Name{"Archive"}, "bench")
		return err
	})
	timed("rename", func() error {
		return s.RenameMailbox(ctx, 1, mailstore.Name{"Archive"}, mailstore.Name{"Old"}, "bench")
	})
	timed("delete", func() error { return s.DeleteMailbox(ctx, 1, mailstore.Name{"Old"}, "bench") })
	if _, _, err := s.StoreFlags(ctx, 1, inbox.ID, all, mailstore.FlagChange{Op: mailstore.AddFlags, Flags: mailstore.Deleted}); err != nil {
		b.Fatal(err)
	}
	timed("expunge", func() error {
		_, err := s.Expunge(ctx, 1, inbox.ID, all, "bench")
		return err
	})
}

// stalls delivers to another account, one message after the other, until its result is called: the longest wait.
func stalls(b *testing.B, s *mailstore.Store) func() time.Duration {
	stop, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		in, most := &incoming{}, time.Duration(0)
		in.n = time.Now().UnixMicro()
		for {
			select {
			case <-stop:
				longest <- most
				return
			case <-time.After(2 * time.Millisecond):
			}
			began := time.Now()
			if _, err := s.Deliver(context.Background(), []mailstore.Delivery{in.next(2)}); err != nil {
				b.Error(err)
			}
			most = max(most, time.Since(began))
		}
	}()
	return func() time.Duration {
		close(stop)
		return <-longest
	}
}

// BenchmarkManyMailboxes is an account with many mailboxes: making them, listing them, asking one, renaming their parent.
func BenchmarkManyMailboxes(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				manyMailboxes(b, n)
			}
		})
	}
}

func manyMailboxes(b *testing.B, n int) {
	ctx := context.Background()
	s, _ := benchStore(b, 1)
	timed := func(what string, times int, fn func() error) {
		began := time.Now()
		if err := fn(); err != nil {
			b.Fatal(what, err)
		}
		b.ReportMetric(float64(time.Since(began).Nanoseconds())/1000/float64(times), what)
	}
	timed("create-µs", n, func() error {
		for i := range n {
			if _, err := s.CreateMailbox(ctx, 1, mailstore.Name{"Lists", fmt.Sprintf("list %d", i)}, ""); err != nil {
				return err
			}
		}
		return nil
	})
	timed("list-µs/mailbox", n, func() error {
		_, err := s.Mailboxes(ctx, 1)
		return err
	})
	timed("status-µs", 100, func() error {
		for i := range 100 {
			if _, err := s.Mailbox(ctx, 1, mailstore.Name{"Lists", fmt.Sprintf("list %d", i*n/100)}); err != nil {
				return err
			}
		}
		return nil
	})
	timed("deliver-µs", 100, func() error {
		in := &incoming{}
		for i := range 100 {
			d := in.next(1)
			d.Folder = mailstore.Name{"Lists", fmt.Sprintf("list %d", i*n/100)}
			if _, err := s.Deliver(ctx, []mailstore.Delivery{d}); err != nil {
				return err
			}
		}
		return nil
	})
	timed("rename-µs/mailbox", n, func() error {
		return s.RenameMailbox(ctx, 1, mailstore.Name{"Lists"}, mailstore.Name{"Old lists"}, "bench")
	})
}
