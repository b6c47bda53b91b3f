package mailstore

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
)

// inboxID is the mailbox_id of every account's INBOX.
const inboxID = 1

// defaultMailboxes are what a new account starts with, besides INBOX: name and special use (RFC 6154).
var defaultMailboxes = []struct{ name, role string }{
	{"Drafts", "drafts"}, {"Sent", "sent"}, {"Archive", "archive"}, {"Junk", "junk"}, {"Trash", "trash"},
}

// CreateAccount makes the account's mailboxes: INBOX and the default ones, all subscribed. For an account that is there
// it does nothing.
func (s *Store) CreateAccount(ctx context.Context, account int64) error {
	return s.write(ctx, func(t *txn) error {
		n, err := t.Exec(`INSERT INTO account_state (account_id, modseq, uidvalidity, next_email, next_mailbox, messages, bytes,
			quota_bytes, separator, prefix) VALUES (?, 1, 0, 1, ?, 0, 0, ?, '/', '') ON CONFLICT DO NOTHING`,
			account, inboxID, s.quota)
		if err != nil || n == 0 {
			return err
		}
		if _, err := t.createMailbox(account, Inbox(), ""); err != nil {
			return err
		}
		if err := t.subscribe(account, Inbox()); err != nil {
			return err
		}
		for _, d := range defaultMailboxes {
			if _, err := t.createMailbox(account, Name{d.name}, d.role); err != nil {
				return err
			}
			if err := t.subscribe(account, Name{d.name}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Usage is what an account holds and may hold.
type Usage struct {
	Messages, Bytes int64
	Quota           int64 // bytes; 0: no limit
}

// Full tells whether n more bytes would exceed the quota.
func (u Usage) Full(n int64) bool { return u.Quota > 0 && u.Bytes+n > u.Quota }

// Usage returns the account's counters.
func (s *Store) Usage(ctx context.Context, account int64) (u Usage, err error) {
	generation := s.quotas.generation.Load()
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		u, err = usage(tx, account)
		return err
	})
	if err == nil && u.Quota == 0 {
		s.quotas.remember(account, generation)
	}
	return u, err
}

// Unlimited tells, from memory, that the account has no quota. False means that Usage must be asked.
func (s *Store) Unlimited(account int64) bool {
	s.quotas.mu.Lock()
	defer s.quotas.mu.Unlock()
	return s.quotas.none[account]
}

// unlimited remembers the accounts that were found to have no quota, so that a recipient costs no query.
type unlimited struct {
	generation atomic.Int64 // counted up by every change of a quota

	mu   sync.Mutex
	none map[int64]bool
}

// maxUnlimited bounds what is remembered: a few MiB.
const maxUnlimited = 200_000

func (q *unlimited) remember(account, generation int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if generation != q.generation.Load() {
		return // a quota was set since the query
	}
	if q.none == nil || len(q.none) >= maxUnlimited {
		q.none = map[int64]bool{}
	}
	q.none[account] = true
}

func (q *unlimited) forget(account int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.generation.Add(1)
	delete(q.none, account)
}

func usage(tx *db.Tx, account int64) (u Usage, err error) {
	found, err := tx.QueryRow("SELECT messages, bytes, quota_bytes FROM account_state WHERE account_id = ?", account).
		Scan(&u.Messages, &u.Bytes, &u.Quota)
	if err == nil && !found {
		err = ErrNoAccount
	}
	return u, err
}

// room returns status.ErrQuota when n more bytes would exceed the account's quota.
func (t *txn) room(account, n int64) error {
	u, err := usage(t.Tx, account)
	if err == nil && u.Full(n) {
		err = status.ErrQuota
	}
	return err
}

// SetQuota sets the account's quota in bytes; 0: no limit.
func (s *Store) SetQuota(ctx context.Context, account, bytes int64) error {
	defer s.quotas.forget(account)
	return s.write(ctx, func(t *txn) error {
		n, err := t.Exec("UPDATE account_state SET quota_bytes = ? WHERE account_id = ?", bytes, account)
		if err == nil && n == 0 {
			err = ErrNoAccount
		}
		return err
	})
}

// Namespace is how the account's mailbox names are shown.
type Namespace struct{ Separator, Prefix string }

// Namespace returns the account's namespace.
func (s *Store) Namespace(ctx context.Context, account int64) (n Namespace, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		found, err := tx.QueryRow("SELECT separator, prefix FROM account_state WHERE account_id = ?", account).
			Scan(&n.Separator, &n.Prefix)
		if err == nil && !found {
			err = ErrNoAccount
		}
		return err
	})
	return n, err
}

// Accounts lists the ids of all accounts that have mailboxes.
func (s *Store) Accounts(ctx context.Context) (ids []int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		rows := tx.Query("SELECT account_id FROM account_state ORDER BY account_id")
		for rows.Next() {
			ids = append(ids, rows.Int64(0))
		}
		return rows.Err()
	})
	return ids, err
}
