package view

import (
	"iter"
	"slices"
	"sort"
)

// UIDs is an ascending list of unique identifiers, kept as runs of consecutive numbers. Indexes count from 0; an IMAP
// message sequence number is an index plus one. The zero value is an empty list.
type UIDs struct {
	runs []run
	n    int
}

// run is the UIDs first, first+1, …; before is the number of UIDs in earlier runs, so the next run's before ends it.
type run struct{ first, before uint32 }

// Len is the number of UIDs.
func (u *UIDs) Len() int { return u.n }

// end returns the index behind run i.
func (u *UIDs) end(i int) int {
	if i+1 < len(u.runs) {
		return int(u.runs[i+1].before)
	}
	return u.n
}

// At returns the UID at index i, which must be in [0, Len).
func (u *UIDs) At(i int) uint32 {
	r := u.runs[u.runOf(i)]
	return r.first + uint32(i) - r.before
}

// runOf finds the run that holds index i.
func (u *UIDs) runOf(i int) int {
	if len(u.runs) == 1 {
		return 0
	}
	return sort.Search(len(u.runs), func(k int) bool { return int(u.runs[k].before) > i }) - 1
}

// Index returns the index of the first UID that is ≥ uid (Len if there is none), and whether it is uid itself.
func (u *UIDs) Index(uid uint32) (int, bool) {
	k := sort.Search(len(u.runs), func(k int) bool { return u.runs[k].first > uid }) - 1
	if k < 0 {
		return 0, false
	}
	if i := int(u.runs[k].before) + int(uid-u.runs[k].first); i < u.end(k) {
		return i, true
	}
	return u.end(k), false
}

// cursor finds ascending UIDs in a list, all of them in one pass over its runs.
type cursor struct {
	list *UIDs
	run  int
}

// index returns the index of uid, which is above that of the call before, or false.
func (c *cursor) index(uid uint32) (int, bool) {
	for ; c.run < len(c.list.runs); c.run++ {
		r := c.list.runs[c.run]
		if uid < r.first {
			return 0, false
		}
		if i := int(r.before) + int(uid-r.first); i < c.list.end(c.run) {
			return i, true
		}
	}
	return 0, false
}

// Last is the highest UID, 0 in an empty list.
func (u *UIDs) Last() uint32 {
	if u.n == 0 {
		return 0
	}
	return u.At(u.n - 1)
}

// Append adds the UIDs first to last (inclusive). They must be above all in the list; anything else is ignored.
func (u *UIDs) Append(first, last uint32) {
	if first > last || first == 0 || (u.n > 0 && first <= u.Last()) {
		return
	}
	if u.n == 0 || first != u.Last()+1 {
		u.runs = append(u.runs, run{first, uint32(u.n)})
	}
	u.n += int(last-first) + 1
}

// AppendAbove adds every UID of from that is above the last of u.
func (u *UIDs) AppendAbove(from *UIDs) {
	i := 0
	if u.n > 0 {
		if i, _ = from.Index(u.Last()); i < from.n && from.At(i) == u.Last() {
			i++
		}
	}
	for i < from.n {
		k := from.runOf(i)
		end := from.end(k)
		u.Append(from.At(i), from.At(end-1))
		i = end
	}
}

// Remove takes out the given UIDs, which must ascend; those not in the list are ignored. It costs one pass over the runs.
func (u *UIDs) Remove(gone []uint32) {
	if len(gone) == 0 || u.n == 0 {
		return
	}
	if len(gone) == 1 {
		u.removeOne(gone[0])
		return
	}
	var out UIDs
	out.runs = make([]run, 0, len(u.runs)+min(len(gone), u.n))
	g := 0
	for k := range u.runs {
		first := u.runs[k].first
		last := first + uint32(u.end(k)-int(u.runs[k].before)) - 1
		for g < len(gone) && gone[g] < first {
			g++
		}
		for ; g < len(gone) && gone[g] <= last; g++ {
			if gone[g] < first {
				continue // named twice
			}
			if gone[g] > first {
				out.Append(first, gone[g]-1)
			}
			first = gone[g] + 1
		}
		out.Append(first, last)
	}
	if len(out.runs) < cap(out.runs)/2 {
		out.runs = append([]run(nil), out.runs...)
	}
	*u = out
}

// removeOne is Remove of one, in place: EXPUNGE of a single message is what most of them are.
func (u *UIDs) removeOne(uid uint32) {
	i, ok := u.Index(uid)
	if !ok {
		return
	}
	k := u.runOf(i)
	first, before, length := u.runs[k].first, u.runs[k].before, u.end(k)-int(u.runs[k].before)
	u.n--
	switch {
	case length == 1:
		u.runs = slices.Delete(u.runs, k, k+1)
	case uid == first:
		u.runs[k].first++
		k++
	case int(uid-first) == length-1:
		k++
	default:
		u.runs = slices.Insert(u.runs, k+1, run{uid + 1, before + (uid - first) + 1})
		k++
	}
	for j := range u.runs[k:] {
		u.runs[k+j].before--
	}
}

// Clone returns an independent copy.
func (u *UIDs) Clone() UIDs { return UIDs{append([]run(nil), u.runs...), u.n} }

// All yields the UIDs in order.
func (u *UIDs) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for k := range u.runs {
			uid := u.runs[k].first
			for n := u.end(k) - int(u.runs[k].before); n > 0; n-- {
				if !yield(uid) {
					return
				}
				uid++
			}
		}
	}
}
