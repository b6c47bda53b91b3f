package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
	"golang.org/x/sys/unix"
)

// admission decides whether one more message may come in: the queue keeps up, and the disk keeps its reserve.
type admission struct {
	queue   *queue.Queue
	coming  *incoming
	reserve int64 // bytes
}

// Admit returns nil when one more message may be taken.
func (a *admission) Admit(ctx context.Context) error {
	if a.coming.free() < a.reserve {
		return status.ErrNoSpace.With("limits.disk_reserve is reached", nil)
	}
	return a.queue.Admit(ctx)
}

// space knows the free space of a file system, asked at most once a second.
type space struct {
	dir string
	now func() time.Time

	mu    sync.Mutex
	asked time.Time
	bytes int64
}

func newSpace(dir string, now func() time.Time) *space { return &space{dir: dir, now: now} }

// free returns the bytes that an ordinary user may still write. What cannot be asked is no obstacle: the write will tell.
func (s *space) free() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Sub(s.asked) < time.Second && !s.asked.IsZero() {
		return s.bytes
	}
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return 1<<63 - 1
	}
	s.asked, s.bytes = now, int64(st.Bavail)*st.Bsize
	return s.bytes
}

// quota answers for the mailboxes' room.
type quota struct{ store *mailstore.Store }

// Room returns nil, or the temporary failure that the client reads.
func (q quota) Room(ctx context.Context, account, size int64) error {
	if q.store.Unlimited(account) {
		return nil
	}
	u, err := q.store.Usage(ctx, account)
	if errors.Is(err, mailstore.ErrNoAccount) {
		return status.Temp(450, 2, 1, "Mailbox is being made or removed; try again later")
	}
	if err != nil {
		return err
	}
	if u.Full(size) {
		return status.ErrQuota
	}
	return nil
}

func reserveOf(c *config.Config) int64 { return int64(c.Limits.DiskReserve) }
