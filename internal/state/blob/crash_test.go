package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/blob/blobtest"
	"github.com/postrider/postrider/internal/vfs"
)

var errStopped = errors.New("the machine stands still")

// machine is a node that can lose its power or its process: disk, catalog and a ledger of what was acknowledged.
type machine struct {
	disk    *vfs.Mem
	catalog *blob.MemoryCatalog

	stopped atomic.Bool
	faulty  *vfs.Faulty

	mu     sync.Mutex
	sent   map[queueid.ID]*blobtest.Item // everything that was ever put, acknowledged or not
	acked  []*blobtest.Item
	opened map[queueid.ID]bool // acknowledged or replayed, and not settled: a replay must find it
	ids    int64
}

// haltingCatalog answers nothing once the machine stands still.
type haltingCatalog struct {
	*blob.MemoryCatalog
	m *machine
}

func (c haltingCatalog) Reserve(ctx context.Context, kind blob.Kind, node uint32, epoch int64, at time.Time) (int64, error) {
	if c.m.stopped.Load() {
		return 0, errStopped
	}
	return c.MemoryCatalog.Reserve(ctx, kind, node, epoch, at)
}

func (c haltingCatalog) Seal(ctx context.Context, pack, size int64) error {
	if c.m.stopped.Load() {
		return errStopped
	}
	return c.MemoryCatalog.Seal(ctx, pack, size)
}

func (c haltingCatalog) Settle(ctx context.Context, p []blob.Settled) error {
	if c.m.stopped.Load() {
		return errStopped
	}
	return c.MemoryCatalog.Settle(ctx, p)
}

func newMachine() *machine {
	return &machine{
		disk: vfs.NewMem(), catalog: blob.NewMemoryCatalog(nil),
		sent: map[queueid.ID]*blobtest.Item{}, opened: map[queueid.ID]bool{},
	}
}

// boot opens the store; stopAt > 0 stops the machine at that operation.
func (m *machine) boot(stopAt int64) (*blob.Store, error) {
	m.stopped.Store(false)
	m.faulty = vfs.NewFaulty(m.disk, func(i int64, _ vfs.Op, _ string) error {
		if stopAt > 0 && i >= stopAt {
			m.stopped.Store(true)
			return errStopped
		}
		return nil
	})
	return blob.Open(context.Background(), blob.Options{
		FS: m.faulty, Dir: "var/packs", Catalog: haltingCatalog{m.catalog, m},
		SmallMax: 2 << 10, PackSize: 24 << 10, Ready: 2, Fill: 20 << 10,
	})
}

// work puts, aborts, settles and flushes from several goroutines until the machine stops or each has done its rounds.
func (m *machine) work(s *blob.Store, seed uint64) {
	var wg sync.WaitGroup
	for g := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, g))
		wg.Go(func() {
			var mine []*blobtest.Item
			for range 12 {
				size := r.IntN(3 << 10)
				if r.IntN(8) == 0 {
					size = r.IntN(200 << 10)
				}
				m.mu.Lock()
				m.ids++
				it := blobtest.NewItem(m.ids, size, r.IntN(700))
				m.sent[it.ID] = it
				m.mu.Unlock()
				if r.IntN(6) == 0 {
					m.abort(s, it)
					continue
				}
				if it.Put(context.Background(), s) != nil {
					continue
				}
				m.mu.Lock()
				m.acked = append(m.acked, it)
				m.opened[it.ID] = true
				m.mu.Unlock()
				mine = append(mine, it)
				if n := len(mine); r.IntN(2) == 0 {
					m.settle(s, mine[r.IntN(n)].ID, mine[0].Ref)
					m.settle(s, mine[0].ID, mine[0].Ref)
					mine = mine[1:]
				}
				if r.IntN(4) == 0 {
					_ = s.FlushSettled(context.Background()) // fails when the machine has stopped
				}
			}
		})
	}
	wg.Wait()
}

func (m *machine) abort(s *blob.Store, it *blobtest.Item) {
	w, err := s.Create(context.Background(), it.ID, 0)
	if err == nil {
		_, _ = w.Write(it.Body)
		w.Abort()
	}
}

// settle as the owner of a message does: from then on no replay is owed.
func (m *machine) settle(s *blob.Store, id queueid.ID, ref recipe.BlobRef) {
	m.mu.Lock()
	it := m.sent[id]
	delete(m.opened, id)
	m.mu.Unlock()
	if it.Ref == ref || !it.Ref.IsZero() {
		s.Settle(it.Ref)
	}
}

// recover opens the store without faults, replays, and checks the promises. It returns what was broken.
func (m *machine) recover() (*blob.Store, error) {
	s, err := m.boot(0)
	if err != nil {
		return nil, fmt.Errorf("start after the crash: %w", err)
	}
	ctx := context.Background()
	replayed := map[queueid.ID]bool{}
	err = s.Replay(ctx, blob.Visitor{
		Record: func(r blob.Record) error {
			it := m.sent[r.ID]
			if it == nil || int64(len(it.Body)) != r.Ref.Length || !bytes.Equal(it.Trailer, r.Trailer) {
				return fmt.Errorf("replayed %v is nothing that was sent", r.Ref)
			}
			it.Ref = r.Ref // of one not acknowledged it was not known
			replayed[r.ID] = true
			return it.Check(ctx, s)
		},
		Damage: func(d blob.Damage) error { return fmt.Errorf("damage after a power cut: %+v", d) },
	})
	if err != nil {
		return s, err
	}
	for id := range m.opened {
		if !replayed[id] {
			return s, fmt.Errorf("%v was acknowledged, not settled, and is not replayed", m.sent[id].Ref)
		}
	}
	for id := range replayed {
		m.opened[id] = true
	}
	return s, m.checkAcked(s)
}

// checkAcked reads every acknowledged record back, settled or not, and finds it by a scan.
func (m *machine) checkAcked(s *blob.Store) error {
	ctx := context.Background()
	scanned := map[int64]map[recipe.BlobRef]bool{}
	for _, it := range m.acked {
		if err := it.Check(ctx, s); err != nil {
			return fmt.Errorf("acknowledged, lost: %w", err)
		}
		if scanned[it.Ref.Pack] == nil {
			found := map[recipe.BlobRef]bool{}
			_, err := s.Scan(ctx, it.Ref.Pack, 0, blob.Visitor{
				Record: func(r blob.Record) error { found[r.Ref] = true; return nil },
				Damage: func(d blob.Damage) error { return fmt.Errorf("damage after a power cut: %+v", d) },
			})
			if err != nil {
				return err
			}
			scanned[it.Ref.Pack] = found
		}
		if !scanned[it.Ref.Pack][it.Ref] {
			return fmt.Errorf("scan does not find %v", it.Ref)
		}
	}
	return nil
}

// TestCrash takes the power, or the process only, at random operations, four times in a row on the same data.
func TestCrash(t *testing.T) {
	rounds := uint64(40) // some hundred were run by hand; each takes 50 ms
	if testing.Short() {
		rounds = 20
	}
	broken, acked := 0, 0
	for seed := range rounds {
		if err := crashRound(seed, &acked); err != nil {
			if blob.RecordsSynced {
				t.Fatalf("seed %d: %v", seed, err)
			}
			broken++
		}
	}
	if acked < int(rounds)*20 {
		t.Fatalf("only %d acknowledged in %d rounds: the test tests nothing", acked, rounds)
	}
	if !blob.RecordsSynced && broken == 0 {
		t.Fatal("a build without the sync of records passes the crash proof")
	}
}

func crashRound(seed uint64, acked *int) error {
	r := rand.New(rand.NewPCG(seed, 99))
	m := newMachine()
	defer func() { *acked += len(m.acked) }()
	for life := range uint64(4) {
		s, err := m.boot(int64(20 + r.IntN(600)))
		if err == nil {
			if err = s.Replay(context.Background(), blob.Visitor{}); err == nil {
				m.work(s, seed<<8|life)
			}
		}
		m.stopped.Store(true)
		power := r.IntN(3) > 0
		catalog, disk := m.catalog.Clone(), m.disk
		if power {
			disk = m.disk.Crash(seed<<8 | life)
		}
		if s != nil {
			_ = s.Close(context.Background()) // the goroutines of the machine that stands still
		}
		m.catalog, m.disk = catalog, disk
		s, err = m.recover()
		if err != nil {
			return fmt.Errorf("life %d, power %v: %w", life, power, err)
		}
		// What a replay gave out must survive a power cut by itself, since it goes into mailboxes.
		if life%2 == 1 {
			m.stopped.Store(true)
			catalog, disk = m.catalog.Clone(), m.disk.Crash(seed)
			_ = s.Close(context.Background())
			m.catalog, m.disk = catalog, disk
			for id := range m.opened {
				m.acked = append(m.acked, m.sent[id])
			}
			if s, err = m.recover(); err != nil {
				return fmt.Errorf("life %d, again: %w", life, err)
			}
		}
		if err := s.Close(context.Background()); err != nil {
			return err
		}
	}
	return nil
}
