package node

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/link"
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
// a crowd which was let in while the disk had room does not fill it. One network gets at most half of the places, lest it
// keep all others out by sending slowly.
type incoming struct {
	space *space
	slots chan struct{}

	mu       sync.Mutex
	networks map[netip.Prefix]*network // those with messages, waiting or let in
	promised int64                     // bytes announced by messages that are not complete
	refused  uint64
}

// network is an IPv4 /24 or IPv6 /48.
type network struct {
	slots chan struct{}
	users int // guarded by incoming.mu
}

// coming is a message that is announced.
type coming struct {
	network netip.Prefix // zero: no limit for one network holds for it
	size    int64        // 0: unknown
	reserve int64        // that must stay free on the disk
}

func newIncoming(c *config.Config, s *space) *incoming {
	return &incoming{space: s, slots: make(chan struct{}, c.Limits.MessagesAtOnce), networks: map[netip.Prefix]*network{}}
}

// beginMessage lets a client's message in.
func (n *Node) beginMessage(ctx context.Context, from netip.Addr, size int64) (end func(), err error) {
	m := coming{size: size, reserve: reserveOf(n.config.Load())}
	if !n.exempt(from) {
		m.network = link.Network(from)
	}
	return n.incoming.begin(ctx, m)
}

// begin lets a message in. end must be called once it is complete or given up.
func (i *incoming) begin(ctx context.Context, m coming) (end func(), err error) {
	if m.size <= 0 {
		m.size = unannounced
	}
	patience, cancel := context.WithTimeout(ctx, incomingPatience)
	defer cancel()
	leave, err := i.enter(patience, m.network)
	if err != nil {
		if ctx.Err() == nil {
			return nil, i.refuse(errManyMessages)
		}
		return nil, err
	}
	free := i.space.free()
	i.mu.Lock()
	enough := free-i.promised-m.size >= m.reserve
	if enough {
		i.promised += m.size
	}
	i.mu.Unlock()
	if !enough {
		leave()
		return nil, i.refuse(status.ErrNoSpace.With("limits.disk_reserve would be reached", nil))
	}
	return func() {
		i.mu.Lock()
		i.promised -= m.size
		i.mu.Unlock()
		leave()
	}, nil
}

// enter takes a place, until ctx ends: one of the network's, then one of all.
func (i *incoming) enter(ctx context.Context, of netip.Prefix) (leave func(), err error) {
	n := i.join(of)
	if n != nil {
		if err := take(ctx, n.slots); err != nil {
			i.part(of, n)
			return nil, err
		}
	}
	err = take(ctx, i.slots)
	leave = func() {
		if err == nil {
			<-i.slots
		}
		if n != nil {
			<-n.slots
			i.part(of, n)
		}
	}
	if err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

func take(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join returns the places of a network, nil for the zero one.
func (i *incoming) join(of netip.Prefix) *network {
	if !of.IsValid() {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	n := i.networks[of]
	if n == nil {
		n = &network{slots: make(chan struct{}, (cap(i.slots)+1)/2)}
		i.networks[of] = n
	}
	n.users++
	return n
}

// part forgets a network that nobody comes from any more.
func (i *incoming) part(of netip.Prefix, n *network) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if n.users--; n.users == 0 {
		delete(i.networks, of)
	}
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
