package greylist

import (
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/postrider/postrider/internal/decide/recall"
	"github.com/postrider/postrider/internal/mail/address"
)

// Kind is the kind of what is written behind.
const Kind = "greylist"

// Settings are what a reload may change.
type Settings struct {
	Delay       time.Duration // before a second try counts
	RetryWindow time.Duration // within which it must come
	Lifetime    time.Duration // of what came again, from its last message
	AutoAllow   int           // triplets that came again, after which their network is not greylisted any more; 0: never
	Max         int           // triplets, and networks, remembered
}

// Attempt is a recipient that a client names.
type Attempt struct {
	Client    netip.Addr
	Name      string // of the client, verified; empty: none
	Sender    address.Address
	Recipient address.Address
}

// Verdict is what becomes of it.
type Verdict struct {
	Pass bool
	Wait time.Duration // until a try counts; not more than Settings.Delay
	Why  string        // "new", "too early", "came again", "known triplet", "known network"
}

// List is what was seen. It is safe for concurrent use.
type List struct {
	mu       sync.Mutex // guards all below
	set      Settings
	triplets recall.Memory
	networks recall.Memory
}

// New makes an empty List.
func New(set Settings) *List {
	l := &List{}
	l.Configure(set)
	return l
}

// Configure changes the settings.
func (l *List) Configure(set Settings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set, l.triplets.Max, l.networks.Max = set, set.Max, set.Max
}

// countEvery is how far apart the triplets of a network must come again to count: a burst says no more than one of them.
const countEvery = time.Hour

// Check judges an attempt. dry remembers nothing.
func (l *List) Check(now time.Time, a Attempt, dry bool) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	client := Site(a.Client, a.Name)
	network := networkKey(client)
	count, counted := l.network(now, network)
	if l.set.AutoAllow > 0 && count >= l.set.AutoAllow {
		if !dry {
			l.keep(now, &l.networks, network, encodeCount(count, counted))
		}
		return Verdict{Pass: true, Why: "known network"}
	}
	key := tripletKey(client, a)
	value, _, found := l.triplets.Get(now, key)
	first, waiting := strings.CutPrefix(value, "w")
	switch {
	case !found:
		if !dry {
			l.triplets.Put(now, recall.Item{Key: key, Value: "w" + strconv.FormatInt(now.Unix(), 10), Until: now.Add(l.set.RetryWindow)})
		}
		return Verdict{Wait: l.set.Delay, Why: "new"}
	case waiting:
		began, err := strconv.ParseInt(first, 10, 64)
		if wait := time.Unix(began, 0).Add(l.set.Delay).Sub(now); err == nil && wait > 0 {
			return Verdict{Wait: min(wait, l.set.Delay), Why: "too early"}
		}
		if !dry {
			l.triplets.Put(now, recall.Item{Key: key, Value: "p", Until: now.Add(l.set.Lifetime)})
			if now.Sub(counted) >= countEvery {
				l.networks.Put(now, recall.Item{Key: network, Value: encodeCount(count+1, now), Until: now.Add(l.set.Lifetime)})
			}
		}
		return Verdict{Pass: true, Why: "came again"}
	}
	if !dry {
		l.keep(now, &l.triplets, key, "p")
	}
	return Verdict{Pass: true, Why: "known triplet"}
}

// keep prolongs what is used. It is not written down for each message.
func (l *List) keep(now time.Time, m *recall.Memory, key, value string) {
	if _, until, ok := m.Get(now, key); ok && until.Sub(now) < l.set.Lifetime*9/10 {
		m.Put(now, recall.Item{Key: key, Value: value, Until: now.Add(l.set.Lifetime)})
	}
}

// network is how often triplets of a network came again, and when one was counted last.
func (l *List) network(now time.Time, key string) (count int, counted time.Time) {
	value, _, _ := l.networks.Get(now, key)
	number, at, _ := strings.Cut(value, " ")
	count, err := strconv.Atoi(number)
	seconds, atErr := strconv.ParseInt(at, 10, 64)
	if err != nil || atErr != nil {
		return 0, time.Time{}
	}
	return count, time.Unix(seconds, 0)
}

func encodeCount(count int, at time.Time) string {
	return strconv.Itoa(count) + " " + strconv.FormatInt(at.Unix(), 10)
}

// Site is who counts as one client: the registered domain of its verified name, or its network.
func Site(a netip.Addr, name string) string {
	a = a.Unmap().WithZone("")
	if name != "" && !Dynamic(name, a) {
		if domain, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(strings.TrimSuffix(name, "."))); err == nil {
			return domain
		}
	}
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero Prefix of no address is a key like any other
	return p.String()
}

const networkMark = "n:"

func networkKey(site string) string { return networkMark + site }

// tripletKey is short whatever strangers call themselves, and tells nobody who writes to whom.
func tripletKey(site string, a Attempt) string {
	sum := sha256.Sum256([]byte(site + "\x00" + Sender(a.Sender) + "\x00" + strings.ToLower(a.Recipient.String())))
	return "t:" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Len is how much is remembered.
func (l *List) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.triplets.Len() + l.networks.Len()
}

func (l *List) memory(key string) *recall.Memory {
	if strings.HasPrefix(key, networkMark) {
		return &l.networks
	}
	return &l.triplets
}

// Restore is an entry that was written down.
func (l *List) Restore(now time.Time, i recall.Item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.memory(i.Key).Restore(now, i)
}

// Drain returns what changed since the last call; Undrain takes it back if it could not be written.
func (l *List) Drain(now time.Time) (put []recall.Item, removed []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range []*recall.Memory{&l.triplets, &l.networks} {
		m.Sweep(now)
		some, gone := m.Drain()
		put, removed = append(put, some...), append(removed, gone...)
	}
	return put, removed
}

// Undrain takes back what Drain gave.
func (l *List) Undrain(put []recall.Item, removed []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range put {
		l.memory(i.Key).Undrain([]recall.Item{i}, nil)
	}
	for _, key := range removed {
		l.memory(key).Undrain(nil, []string{key})
	}
}
