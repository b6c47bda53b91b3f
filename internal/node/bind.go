package node

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/postrider/postrider/internal/config"
)

// Bound are listeners opened before the node is: by a process that will give up the privilege which their ports need.
type Bound struct {
	mu   sync.Mutex
	free map[string][]net.Listener // by address as configured
}

// Bind opens all listeners that a configuration asks for, or none.
func Bind(c *config.Config) (*Bound, error) {
	b := &Bound{free: map[string][]net.Listener{}}
	for _, l := range listenersOf(c) {
		for _, addr := range l.addresses {
			nl, err := net.Listen("tcp", addr)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("listen for %s on %s: %w%s", l.service, addr, err, listenHint(err)), b.Close())
			}
			b.free[addr] = append(b.free[addr], nl)
		}
	}
	return b, nil
}

// Listen hands out a listener for an address, once; it is for Options.Listen.
func (b *Bound) Listen(network, address string) (net.Listener, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if free := b.free[address]; len(free) > 0 {
		b.free[address] = free[1:]
		return free[0], nil
	}
	return net.Listen(network, address)
}

// Close closes the listeners that nobody has taken.
func (b *Bound) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, free := range b.free {
		for _, l := range free {
			errs = append(errs, l.Close())
		}
	}
	b.free = nil
	return errors.Join(errs...)
}
