package dns

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// Options set a Resolver up. The zero value of each field means what its comment says.
type Options struct {
	Servers      []string         // "address:port" each; none: those of SystemConf
	Timeout      time.Duration    // for one question to one server; 0: 5 s
	Attempts     int              // times through the servers; 0: 2
	CacheEntries int              // results remembered; 0: none
	MaxTTL       time.Duration    // longest that a result is remembered; 0: 24 h
	Now          func() time.Time // nil: time.Now
	Random       io.Reader        // ids of queries, read from many goroutines; nil: crypto/rand

	// Dial makes a connection to a server, network "udp" or "tcp"; each udp connection must have a random port of its
	// own. nil: the system's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Resolver asks for records. It may be used from any number of goroutines.
type Resolver struct {
	servers  []string
	timeout  time.Duration
	attempts int
	maxTTL   time.Duration
	now      func() time.Time
	random   io.Reader
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	cache    *cache

	mu        sync.Mutex             // guards all below; never held while waiting
	inflight  map[question]*inflight // asked right now
	preferred int                    // index of the server that answered last
}

// inflight is a question that somebody asks now; others who have the same one wait for it.
type inflight struct {
	done   chan struct{} // closed when result and err are set
	result result
	err    error
	gaveUp bool // its asker left before there was an answer
}

// New makes a resolver.
func New(o Options) *Resolver {
	r := &Resolver{
		servers: o.Servers, timeout: o.Timeout, attempts: o.Attempts, maxTTL: o.MaxTTL, now: o.Now, random: o.Random,
		dial: o.Dial, cache: newCache(o.CacheEntries), inflight: map[question]*inflight{},
	}
	if len(r.servers) == 0 {
		r.servers = SystemResolvers(SystemConf)
	}
	if r.timeout <= 0 {
		r.timeout = 5 * time.Second
	}
	if r.attempts <= 0 {
		r.attempts = 2
	}
	if r.maxTTL <= 0 {
		r.maxTTL = 24 * time.Hour
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.random == nil {
		r.random = rand.Reader
	}
	if r.dial == nil {
		r.dial = new(net.Dialer).DialContext
	}
	return r
}

// resolve answers a question from the cache or the servers, and follows aliases that a response left open.
func (r *Resolver) resolve(ctx context.Context, name string, qtype uint16) (result, error) {
	asked := name
	fail := func(kind Kind, err error) (result, error) {
		return result{}, &Error{Kind: kind, Name: asked, Type: wire.TypeToString[qtype], Err: err}
	}
	name, ok := canonical(name)
	if !ok {
		return fail(Invalid, nil)
	}
	authentic, ttl := true, r.maxTTL
	for range maxChain {
		res, err := r.shared(ctx, question{name, qtype})
		if err != nil {
			return fail(Temporary, err)
		}
		// The whole is as authentic and lasts as long as its weakest part.
		authentic, ttl = authentic && res.authentic, min(ttl, res.ttl)
		if res.aliasTo == "" {
			res.authentic, res.ttl = authentic, ttl
			if len(res.records) == 0 {
				return result{}, &Error{Kind: res.absence, Name: asked, Type: wire.TypeToString[qtype], TTL: max(0, ttl)}
			}
			return res, nil
		}
		name = res.aliasTo
	}
	return fail(Temporary, errLoop)
}

// shared answers from the cache, or asks once for all who ask the same now. If the one who asks gives up, one of the
// others takes over.
func (r *Resolver) shared(ctx context.Context, q question) (result, error) {
	for {
		if res, ok := r.cache.get(q, r.now()); ok {
			return res, nil
		}
		if err := ctx.Err(); err != nil {
			return result{}, err
		}
		r.mu.Lock()
		other, asking := r.inflight[q]
		if !asking {
			mine := &inflight{done: make(chan struct{})}
			r.inflight[q] = mine
			r.mu.Unlock()
			return r.lead(ctx, q, mine)
		}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return result{}, ctx.Err()
		case <-other.done:
			if !other.gaveUp {
				return other.result, other.err
			}
		}
	}
}

// lead asks the servers on behalf of all who wait for q.
func (r *Resolver) lead(ctx context.Context, q question, mine *inflight) (result, error) {
	mine.result, mine.err = r.askAll(ctx, q)
	mine.gaveUp = mine.err != nil && ctx.Err() != nil
	if mine.err == nil {
		mine.result.ttl = min(mine.result.ttl, r.maxTTL)
		r.cache.put(q, mine.result, r.now())
	}
	r.mu.Lock()
	delete(r.inflight, q)
	r.mu.Unlock()
	close(mine.done)
	return mine.result, mine.err
}

// askAll goes through the servers, beginning with the one that answered last, so that a dead one costs its time once.
func (r *Resolver) askAll(ctx context.Context, q question) (result, error) {
	r.mu.Lock()
	first := r.preferred
	r.mu.Unlock()
	var errs []error
	for range r.attempts {
		errs = errs[:0]
		for i := range r.servers {
			n := (first + i) % len(r.servers)
			res, err := r.exchange(ctx, r.servers[n], q)
			if err == nil {
				r.mu.Lock()
				r.preferred = n
				r.mu.Unlock()
				return res, nil
			}
			if ctx.Err() != nil { // the caller gave up; the server may be well
				return result{}, context.Cause(ctx)
			}
			errs = append(errs, fmt.Errorf("%s: %w", r.servers[n], err))
		}
	}
	return result{}, errors.Join(errs...)
}
