package node

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/postrider/postrider/internal/config"
)

// Bound are listeners opened before the node is: by a process that will give up the privilege which their ports need, or
// by a service manager that passes its sockets (sd_listen_fds(3)).
type Bound struct {
	mu   sync.Mutex
	free map[string][]net.Listener // by address as configured
}

// Bind opens all listeners that a configuration asks for, or none. Sockets that were passed, by service, take the places of
// that service's addresses, in their order; they are taken over whatever comes of it.
func Bind(c *config.Config, passed map[string][]net.Listener) (*Bound, error) {
	b := &Bound{free: map[string][]net.Listener{}}
	passed = maps.Clone(passed)
	for _, l := range listenersOf(c) {
		sockets := passed[l.service]
		delete(passed, l.service)
		if err := b.take(l, sockets); err != nil {
			return nil, errors.Join(err, closeAll(passed), b.Close())
		}
	}
	if err := unwanted(c, passed); err != nil {
		return nil, errors.Join(err, closeAll(passed), b.Close())
	}
	return b, nil
}

// take gets one service's listeners together.
func (b *Bound) take(l listenerConfig, sockets []net.Listener) error {
	if len(sockets) > len(l.addresses) {
		return errors.Join(fmt.Errorf("the service manager passes %d sockets for %s, and listeners.%s.addresses has %d: give it as many, in the same order",
			len(sockets), l.service, l.service, len(l.addresses)), closeAll(map[string][]net.Listener{"": sockets}))
	}
	for _, s := range sockets {
		if s.Addr().Network() != "tcp" {
			return errors.Join(fmt.Errorf("the socket that the service manager passes for %s is %s, not TCP: ListenStream= wants a port", l.service, s.Addr()),
				closeAll(map[string][]net.Listener{"": sockets}))
		}
	}
	for _, addr := range l.addresses {
		if len(sockets) > 0 {
			b.free[addr] = append(b.free[addr], sockets[0])
			sockets = sockets[1:]
			continue
		}
		nl, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("listen for %s on %s: %w%s", l.service, addr, err, listenHint(err))
		}
		b.free[addr] = append(b.free[addr], nl)
	}
	return nil
}

// unwanted refuses sockets that no service takes: mail would be accepted by the kernel and answered by nobody.
func unwanted(c *config.Config, passed map[string][]net.Listener) error {
	var errs []error
	var services []string
	for _, l := range listenersOf(c) {
		services = append(services, l.service)
	}
	for _, name := range slices.Sorted(maps.Keys(passed)) {
		errs = append(errs, fmt.Errorf("the service manager passes a socket named %q, and no such service is enabled: the names (FileDescriptorName=) are %s; enable listeners.%s or stop that socket unit",
			name, strings.Join(services, ", "), name))
	}
	return errors.Join(errs...)
}

func closeAll(sockets map[string][]net.Listener) error {
	var errs []error
	for _, list := range sockets {
		for _, l := range list {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
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
	err := closeAll(b.free)
	b.free = nil
	return err
}
