package crowd

import (
	"errors"
	"sync"
)

// Gather makes n connections, at most width at a time, and keeps those that came about, in order; nil stands for one that
// did not. The error is the first few together.
func Gather(n, width int, connect func(i int) (*Client, error)) ([]*Client, error) {
	out, errs := make([]*Client, n), make([]error, n)
	Each(n, width, func(i int) { out[i], errs[i] = connect(i) })
	var some []error
	for _, err := range errs {
		if err != nil && len(some) < 5 {
			some = append(some, err)
		}
	}
	return out, errors.Join(some...)
}

// Each calls do for 0 to n-1, at most width at a time, and returns when all have returned.
func Each(n, width int, do func(i int)) {
	var group sync.WaitGroup
	next := make(chan int)
	for range min(width, n) {
		group.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}

// Disperse closes connections.
func Disperse(clients []*Client) {
	Each(len(clients), 64, func(i int) {
		if clients[i] != nil {
			_ = clients[i].Close()
		}
	})
}

// Present counts those that came about.
func Present(clients []*Client) (n int) {
	for _, c := range clients {
		if c != nil {
			n++
		}
	}
	return n
}
