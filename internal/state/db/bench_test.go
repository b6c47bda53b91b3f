package db_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

var (
	pageFlag  = flag.Int64("db.page", 4096, "page size in the benchmarks")
	cacheFlag = flag.Int("db.cache", 16<<10, "writer's cache in the benchmarks, KiB")
	ckptFlag  = flag.Int64("db.ckpt", 32<<20, "log size that starts a checkpoint in the benchmarks")
)

// deliverySchema has the shape of a delivery into the mailstore: one row of about 600 bytes, two small ones, counters.
var deliverySchema = fstest.MapFS{"0001_bench.sql": {Data: []byte(`
CREATE TABLE email (account_id BIGINT, email_id BIGINT, pack BIGINT, place BIGINT, structure BLOB,
  PRIMARY KEY (account_id, email_id)) WITHOUT ROWID;
CREATE TABLE entry (account_id BIGINT, mailbox_id BIGINT, uid BIGINT, email_id BIGINT, flags BIGINT, modseq BIGINT,
  PRIMARY KEY (account_id, mailbox_id, uid)) WITHOUT ROWID;
CREATE TABLE delivered (queue_id BLOB, recipient_no BIGINT, PRIMARY KEY (queue_id, recipient_no)) WITHOUT ROWID;
CREATE TABLE counters (account_id BIGINT PRIMARY KEY, modseq BIGINT, messages BIGINT) WITHOUT ROWID;
`)}}

func deliver(n int64) func(*db.Tx) error {
	const accounts = 100
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(n))
	var structure [600]byte
	return func(tx *db.Tx) error {
		account := n % accounts
		if _, err := tx.Exec(`INSERT INTO counters VALUES (?, 1, 1)
			ON CONFLICT (account_id) DO UPDATE SET modseq = modseq + 1, messages = messages + 1`, account); err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO email VALUES (?, ?, ?, ?, ?)", account, n, n>>10, n<<10, structure[:]); err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO entry VALUES (?, 1, ?, ?, 0, ?)", account, n, n, n); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO delivered VALUES (?, 0)", id[:])
		return err
	}
}

// BenchmarkDelivery is durable deliveries by 1 and by 50 sessions. go test -bench Delivery -benchtime 10000x
func BenchmarkDelivery(b *testing.B) {
	for _, sessions := range []int{1, 50} {
		b.Run(fmt.Sprint(sessions), func(b *testing.B) {
			opt := db.WithTuning(db.Options{Schema: deliverySchema, CheckpointBytes: *ckptFlag}, *pageFlag, *cacheFlag)
			d := closed(b)(db.Open(b.Context(), filepath.Join(b.TempDir(), "x.db"), opt))
			var next atomic.Int64
			cpu := cpuTime()
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range sessions {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if err := d.Write(b.Context(), deliver(n)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			s := d.Stats()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N)/1e3, "cpu-µs/op")
			b.ReportMetric(float64(s.Writes)/float64(s.Commits), "writes/commit")
		})
	}
}

// BenchmarkRead is one lookup in a transaction of its own.
func BenchmarkRead(b *testing.B) {
	opt := db.Options{Schema: deliverySchema}
	d := closed(b)(db.Open(b.Context(), filepath.Join(b.TempDir(), "x.db"), opt))
	err := d.Write(b.Context(), func(tx *db.Tx) error {
		for n := range int64(10000) {
			if err := deliver(n)(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := int64(0); b.Loop(); n = (n + 1) % 10000 {
		var place int64
		err := d.Read(b.Context(), func(tx *db.Tx) error {
			_, err := tx.QueryRow("SELECT place FROM email WHERE account_id = ? AND email_id = ?", n%100, n).Scan(&place)
			return err
		})
		if err != nil || place != n<<10 {
			b.Fatal(place, err)
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
