package node

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/status"
)

const (
	// incomingPatience is how long a message waits to be let in: meanwhile its client is kept from sending, which is all that
	// most crowds need. It is well below what RFC 5321 §4.5.3.2.4 has clients wait for the answer to DATA (2 minutes).
	incomingPatience = 15 * time.Second
	// unannounced is what the disk must have for a message whose size nobody said.
	unannounced = 1 << 20
)

var errManyMessages = status.Temp(452, 3, 1, "Too many messages are on their way in; try again later")

// incoming bounds the messages that are on their way in: how many, and so their buffers; and how much they may write, so that
// a crowd which was let in while the disk had room does not fill it.
type incoming struct {
	space *space
	slots chan struct{}

	mu       sync.Mutex
	promised int64 // bytes announced by messages that are not complete
	refused  uint64
}

func newIncoming(c *config.Config, s *space) *incoming {
	return &incoming{space: s, slots: make(chan struct{}, c.Limits.MessagesAtOnce)}
}

// begin lets a message of an announced size in, 0: unknown. end must be called once it is complete or given up.
func (i *incoming) begin(ctx context.Context, size, reserve int64) (end func(), err error) {
	if size <= 0 {
		size = unannounced
	}
	select {
	case i.slots <- struct{}{}:
	default:
		patience := time.NewTimer(incomingPatience)
		defer patience.Stop()
		select {
		case i.slots <- struct{}{}:
		case <-patience.C:
			return nil, i.refuse(errManyMessages)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	free := i.space.free()
	i.mu.Lock()
	enough := free-i.promised-size >= reserve
	if enough {
		i.promised += size
	}
	i.mu.Unlock()
	if !enough {
		<-i.slots
		return nil, i.refuse(status.ErrNoSpace.With("limits.disk_reserve would be reached", nil))
	}
	return func() {
		i.mu.Lock()
		i.promised -= size
		i.mu.Unlock()
		<-i.slots
	}, nil
}

func (i *incoming) refuse(err *status.Error) *status.Error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refused++
	return err
}

// free is the space that is not promised to anybody.
func (i *incoming) free() int64 {
	free := i.space.free()
	i.mu.Lock()
	defer i.mu.Unlock()
	return free - i.promised
}

// load is how many messages are on their way in, and how many were refused since the start.
func (i *incoming) load() (now int, refused uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.slots), i.refused
}
