package certstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

const (
	leaseTime = 30 * time.Second // of a lock nobody keeps
	keepEvery = 10 * time.Second // its holder moves the end
	pollEvery = time.Second      // who waits looks
)

var errClosed = errors.New("certstore: closed")

// held is a lock of ours.
type held struct {
	owner string        // of this one Lock; another Lock of the same process has another
	stop  chan struct{} // closed by Unlock
}

// Lock implements certmagic.Locker: it waits until the lock is ours or ctx ends.
func (s *Store) Lock(ctx context.Context, name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("certstore: %q is no name of a lock", name)
	}
	h := &held{owner: rand.Text(), stop: make(chan struct{})}
	for {
		taken, err := s.take(ctx, name, h.owner)
		if err != nil {
			return err
		}
		if taken {
			return s.hold(name, h)
		}
		timer := time.NewTimer(pollEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// hold notes a lock that has just been taken, and keeps it.
func (s *Store) hold(name string, h *held) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(errClosed, s.release(context.Background(), name, h.owner))
	}
	s.held[name] = h
	s.group.Go(func() { s.keep(name, h) })
	return nil
}

// keep moves the lock's end forward until it is released. A failure is not fatal: there are three tries in a lease, and
// who loses the lock all the same does some work twice, which certmagic allows for.
func (s *Store) keep(name string, h *held) {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-ticker.C:
			_ = s.extend(context.Background(), name, h.owner)
		}
	}
}

// Unlock implements certmagic.Locker.
func (s *Store) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	h := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if h == nil {
		return fmt.Errorf("certstore: the lock %q is not ours", name)
	}
	close(h.stop)
	// Also when the caller is being cancelled: the others should not wait for the lease to end.
	return s.release(context.WithoutCancel(ctx), name, h.owner)
}

// Close releases all locks. No item is refused afterwards, but no lock is given any more.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	names := make([]string, 0, len(s.held))
	for name := range s.held {
		names = append(names, name)
	}
	s.mu.Unlock()
	var errs []error
	for _, name := range names {
		errs = append(errs, s.Unlock(ctx, name))
	}
	s.group.Wait()
	return errors.Join(errs...)
}

// take makes a lock ours if it is nobody's. One that ends later than any clock that agrees with ours can have said was
// taken before the clock was set back, by a process that has died: a holder that lives has said a nearer end since.
func (s *Store) take(ctx context.Context, name, owner string) (taken bool, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		now := s.now()
		n, err := tx.Exec(`INSERT INTO certificate_lock (name, owner, expires) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires
			WHERE certificate_lock.expires <= ? OR certificate_lock.expires > ?`,
			name, owner, now.Add(leaseTime).UnixMicro(), now.UnixMicro(), now.Add(2*leaseTime).UnixMicro())
		taken = n == 1
		return err
	})
	return taken, err
}

func (s *Store) extend(ctx context.Context, name, owner string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE certificate_lock SET expires = ? WHERE name = ? AND owner = ?",
			s.now().Add(leaseTime).UnixMicro(), name, owner)
		return err
	})
}

func (s *Store) release(ctx context.Context, name, owner string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("DELETE FROM certificate_lock WHERE name = ? AND owner = ?", name, owner)
		return err
	})
}
