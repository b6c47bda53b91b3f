package sched

// ring is a list with two ends. Its zero value is empty.
type ring[T any] struct {
	items []T
	head  int
	n     int
}

func (r *ring[T]) len() int { return r.n }

func (r *ring[T]) grow() {
	if r.n < len(r.items) {
		return
	}
	items := make([]T, max(4, 2*len(r.items)))
	for i := range r.n {
		items[i] = r.items[(r.head+i)%len(r.items)]
	}
	r.items, r.head = items, 0
}

func (r *ring[T]) pushBack(v T) {
	r.grow()
	r.items[(r.head+r.n)%len(r.items)] = v
	r.n++
}

func (r *ring[T]) pushFront(v T) {
	r.grow()
	r.head = (r.head + len(r.items) - 1) % len(r.items)
	r.items[r.head] = v
	r.n++
}

func (r *ring[T]) popFront() T {
	var zero T
	v := r.items[r.head]
	r.items[r.head] = zero
	r.head = (r.head + 1) % len(r.items)
	if r.n--; r.n == 0 && len(r.items) > 8 {
		r.items, r.head = nil, 0 // let a large array go
	}
	return v
}

// each calls f for every item from the front.
func (r *ring[T]) each(f func(T)) {
	for i := range r.n {
		f(r.items[(r.head+i)%len(r.items)])
	}
}
