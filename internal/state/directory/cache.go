package directory

import (
	"sync"

	"github.com/postrider/postrider/internal/mail/address"
)

// maxResolved bounds the addresses whose resolution is remembered.
const maxResolved = 20_000

// cache remembers domains and resolutions until something changes. A generation guards against remembering what was read
// before a change: whoever stores names the generation before which it began to read.
type cache struct {
	mu         sync.RWMutex
	generation uint64
	domains    map[string]Domain // all of them; nil: not read yet
	resolved   map[address.Address]resolved
}

type resolved struct {
	r   Resolution
	err error
}

func (c *cache) invalidate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.domains, c.resolved = nil, nil
}

func (c *cache) domainMap() (map[string]Domain, uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.domains, c.generation
}

func (c *cache) putDomains(m map[string]Domain, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation == generation {
		c.domains = m
	}
}

func (c *cache) get(a address.Address) (Resolution, error, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, found := c.resolved[a]
	return e.r, e.err, found
}

func (c *cache) put(a address.Address, r Resolution, err error, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return
	}
	if c.resolved == nil {
		c.resolved = make(map[address.Address]resolved)
	}
	if len(c.resolved) >= maxResolved {
		// Any one goes: the order of a map is as good as a die, and a flood of unknown names cannot aim.
		for k := range c.resolved {
			delete(c.resolved, k)
			break
		}
	}
	c.resolved[a] = resolved{r, err}
}
