package blob

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/postrider/postrider/internal/vfs"
)

// handle is a pack open for reading.
type handle struct {
	number int64
	kind   Kind
	mark   mark
	file   vfs.File

	// Guarded by handles.mu.
	users   int
	dropped bool // closed by its last user
	element *list.Element
}

// handles keeps the most recently used packs open. A handle in use is never closed, so that for a moment there may be more
// than max.
type handles struct {
	open func(pack int64) (*handle, error)
	max  int

	mu   sync.Mutex
	all  map[int64]*handle
	used *list.List // *handle, most recent first
}

func newHandles(open func(int64) (*handle, error), max int) *handles {
	return &handles{open: open, max: max, all: map[int64]*handle{}, used: list.New()}
}

// get returns the pack's handle; the caller gives it back with release.
func (c *handles) get(pack int64) (*handle, error) {
	c.mu.Lock()
	if h := c.all[pack]; h != nil {
		h.users++
		c.used.MoveToFront(h.element)
		c.mu.Unlock()
		return h, nil
	}
	c.mu.Unlock()
	h, err := c.open(pack)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.all[pack]; other != nil { // two opened it at once
		_ = h.file.Close() // nothing was written through it
		h = other
		c.used.MoveToFront(h.element)
	} else {
		h.element = c.used.PushFront(h)
		c.all[pack] = h
	}
	h.users++
	for e := c.used.Back(); e != nil && c.used.Len() > c.max; {
		prev := e.Prev()
		if old := e.Value.(*handle); old.users == 0 {
			c.remove(old)
		}
		e = prev
	}
	return h, nil
}

func (c *handles) release(h *handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.users--
	if h.dropped && h.users == 0 {
		_ = h.file.Close()
	}
}

// drop forgets a pack whose file goes; readers under way finish.
func (c *handles) drop(pack int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.all[pack]; h != nil {
		c.remove(h)
	}
}

// remove takes h out; mu is held.
func (c *handles) remove(h *handle) {
	delete(c.all, h.number)
	c.used.Remove(h.element)
	h.dropped = true
	if h.users == 0 {
		_ = h.file.Close() // only read
	}
}

func (c *handles) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.all {
		c.remove(h)
	}
	return nil
}

// openHandle opens a pack for reading and checks its header.
func (s *Store) openHandle(pack int64) (*handle, error) {
	f, err := s.opt.FS.Open(s.path(pack))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrMissing, err)
		}
		return nil, err
	}
	m, kind, err := readMarkKind(f, pack)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &handle{number: pack, kind: kind, mark: m, file: f}, nil
}

// readMarkKind reads the pack's mark from its header or, if that is damaged, from its first record's; its kind is then a guess.
func readMarkKind(f vfs.File, pack int64) (mark, Kind, error) {
	var b [packHeaderSize + headerSize]byte
	n, err := f.ReadAt(b[:], 0)
	if n < packHeaderSize && !isEOF(err) {
		return mark{}, 0, err
	}
	h, err := parsePackHeader(b[:min(n, packHeaderSize)])
	if err == nil && h.number != pack {
		err = damaged("the file says that it is pack %d", h.number)
	}
	if err == nil || errors.Is(err, ErrUnsupported) || n < len(b) {
		return h.mark, h.kind, err
	}
	m := mark(b[packHeaderSize+4 : packHeaderSize+12])
	if _, rerr := parseHeader(b[packHeaderSize:], m); rerr != nil {
		return mark{}, 0, err
	}
	return m, KindJournal, nil
}

// readMark is readMarkKind without the kind.
func readMark(f vfs.File, pack int64) (mark, error) {
	m, _, err := readMarkKind(f, pack)
	return m, err
}
