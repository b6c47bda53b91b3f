package mailstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
)

// Errors that callers tell apart. Those that a client may read wrap a status.Error.
var (
	ErrNoAccount = errors.New("no such account in the mailstore")
	ErrNoMailbox = status.Perm(550, 1, 1, "No such mailbox")
	ErrExists    = status.Perm(550, 6, 0, "A mailbox of that name exists")
	ErrRole      = status.Perm(550, 6, 0, "Another mailbox has that special use")
	ErrBelow     = status.Perm(550, 6, 0, "A mailbox cannot be moved below itself")
	ErrInbox     = status.Perm(550, 6, 0, "INBOX cannot be deleted")
	ErrChildren  = status.Perm(550, 6, 0, "Mailbox has children")
	ErrLarge     = status.Perm(550, 6, 0, "Too many messages at once: at most 100,000 can be copied, or moved by renaming INBOX; do it in parts, or move them")
	ErrUIDs      = status.Perm(550, 6, 0, "Mailbox has used up its UIDs; move its messages to a new one")
)

// Blobs is what the mailstore needs of the packs: the trailer of a record, and bodies.
type Blobs interface {
	recipe.Source
	// Trailer returns the trailer that was committed with the record of ref.
	Trailer(ctx context.Context, ref recipe.BlobRef) ([]byte, error)
	// Verify reads the record of ref in whole and checks its sums.
	Verify(ctx context.Context, ref recipe.BlobRef) error
}

// Options of New. DB and Blobs are required.
type Options struct {
	DB    *db.DB
	Blobs Blobs
	Now   func() time.Time // nil: time.Now
	Quota int64            // bytes for a new account; 0: no limit
	// Referable is asked before an email leads into a pack; nil: every pack will stay.
	Referable Referable
}

// Store is the mailstore. It is safe for concurrent use.
type Store struct {
	db    *db.DB
	blobs Blobs
	now   func() time.Time
	quota int64
	check Referable

	maxSlice int // messages in one transaction of a large change

	quotas unlimited

	mu       sync.Mutex // guards watchers
	watchers map[place]map[*watcher]struct{}
}

type place struct{ account, mailbox int64 }

type watcher struct{ fn func(Change) }

// New makes a Store over an open database whose schema is current.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{db: o.DB, blobs: o.Blobs, now: o.Now, quota: o.Quota, check: o.Referable, maxSlice: maxSlice, watchers: map[place]map[*watcher]struct{}{}}
}

// Entry is a message's place in a mailbox.
type Entry struct {
	UID          uint32
	Email        int64
	Flags        Flags
	Keywords     string // canonical, see Keywords
	ModSeq       int64
	Size         int64 // bytes
	InternalDate int64 // seconds since 1970
	Saved        int64 // when it came into this mailbox, seconds since 1970 (RFC 8514)
}

// Change is one committed change of one mailbox.
type Change struct {
	Account, Mailbox int64
	ModSeq           int64
	Entries          []Entry  // new, or with new flags; ascending by UID
	Expunged         []uint32 // ascending
	Gone             bool     // the mailbox was deleted or has a new UIDVALIDITY
}

// Watch calls fn for every change of a mailbox that commits from now on, in the order of the commits, until cancel. fn
// runs on the database's writer: it must be brief and must not call the Store.
func (s *Store) Watch(account, mailbox int64, fn func(Change)) (cancel func()) {
	w, p := &watcher{fn}, place{account, mailbox}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers[p] == nil {
		s.watchers[p] = map[*watcher]struct{}{}
	}
	s.watchers[p][w] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers[p], w)
		if len(s.watchers[p]) == 0 {
			delete(s.watchers, p)
		}
	}
}

func (s *Store) publish(changes []Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.watchers) == 0 {
		return
	}
	for _, c := range changes {
		for w := range s.watchers[place{c.Account, c.Mailbox}] {
			w.fn(c)
		}
	}
}

// txn is one write transaction's share of the Store: the SQL and the changes to publish once it is committed.
type txn struct {
	*db.Tx
	now      time.Time
	check    Referable
	packs    []int64 // that were asked for and may be referred to
	changes  []Change
	maxSlice int
}

func (t *txn) changed(c Change) { t.changes = append(t.changes, c) }

// write runs fn in a group commit, publishes its changes in commit order, and returns once it is durable. A function that
// was queued runs even when ctx ends meanwhile.
func (s *Store) write(ctx context.Context, fn func(*txn) error) error {
	t := &txn{now: s.now(), check: s.check, maxSlice: s.maxSlice}
	done := make(chan error, 1)
	err := s.db.Submit(ctx, func(tx *db.Tx) error {
		t.Tx, t.changes, t.packs = tx, nil, nil
		return fn(t)
	}, func(err error) {
		if err == nil {
			s.publish(t.changes)
		}
		done <- err
	})
	if err != nil {
		return err
	}
	return <-done
}

// nextModSeq raises the account's modification sequence and returns it.
func (t *txn) nextModSeq(account int64) (modseq int64, err error) {
	found, err := t.QueryRow("UPDATE account_state SET modseq = modseq + 1 WHERE account_id = ? RETURNING modseq", account).Scan(&modseq)
	if err == nil && !found {
		err = ErrNoAccount
	}
	return modseq, err
}

// nextUIDValidity raises the account's UIDVALIDITY: the time in seconds where that is higher (RFC 9051 §2.3.1.1).
func (t *txn) nextUIDValidity(account int64) (v int64, err error) {
	// max(a, b) is named differently by the engines; CASE is the same in both.
	now := t.now.Unix()
	found, err := t.QueryRow(`UPDATE account_state SET uidvalidity = CASE WHEN uidvalidity >= ? THEN uidvalidity + 1 ELSE ? END
		WHERE account_id = ? RETURNING uidvalidity`, now, now, account).Scan(&v)
	if err == nil && !found {
		err = ErrNoAccount
	}
	return v, err
}
