package sched

import (
	"bytes"
	"time"
)

// entry is a unit that waits.
type entry struct {
	Unit
	gone bool // it expired at a site that rests: its place in the line is empty
}

// dueHeap orders units by due time, then by id, so that equal times keep the order of arrival.
type dueHeap []*entry

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	if !h[i].Due.Equal(h[j].Due) {
		return h[i].Due.Before(h[j].Due)
	}
	return bytes.Compare(h[i].ID[:], h[j].ID[:]) < 0
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)   { *h = append(*h, x.(*entry)) }
func (h *dueHeap) Pop() any     { return pop((*[]*entry)(h)) }

// expiryHeap orders the units of a site that rests by Expire.
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].Expire.Before(h[j].Expire) }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(*entry)) }
func (h *expiryHeap) Pop() any          { return pop((*[]*entry)(h)) }

// timer wakes a site. One that is not the site's present one is void.
type timer struct {
	at   time.Time
	site *site
}

type timerHeap []timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any          { return pop((*[]timer)(h)) }

// shareHeap orders the sites that wait for a larger share by what they have in flight.
type shareHeap []*site

func (h shareHeap) Len() int           { return len(h) }
func (h shareHeap) Less(i, j int) bool { return h[i].flying < h[j].flying }
func (h shareHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].starved, h[j].starved = i, j
}
func (h *shareHeap) Push(x any) {
	s := x.(*site)
	s.starved = len(*h)
	*h = append(*h, s)
}
func (h *shareHeap) Pop() any {
	s := pop((*[]*site)(h))
	s.starved = -1
	return s
}

func pop[T any](h *[]T) T {
	var zero T
	old := *h
	v := old[len(old)-1]
	old[len(old)-1] = zero
	*h = old[:len(old)-1]
	return v
}
