package lockout

import (
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/decide/rate"
)

const (
	homeFor  = 30 * 24 * time.Hour // since the last login from there
	maxHomes = 16                  // of an account: one who travels does not displace others
)

// kind is what a state is kept for.
type kind uint8

const (
	ofSite kind = iota
	ofNetwork
	ofAccount // failures of strangers
	ofPair    // failures of an account where it is at home
)

type key struct {
	kind kind
	site netip.Prefix
	name string
}

// state is how somebody stands.
type state struct {
	failures rate.Window
	per      time.Duration
	next     int64 // when the next login may go on
	locked   int64 // until when
}

// weight: who is locked out weighs most, and longer is heavier; then who has failed most.
func (s *state) weight(now int64) int64 {
	if s.locked > now {
		return 1 << 32
	}
	return s.failures.Used(max(s.per, 1), now)
}

// left is the weight of what ends at a time.
func left(until *int64, now int64) int64 { return max(*until-now, 0) }

// party is somebody for whom failures of a login are counted, and how many are free.
type party struct {
	key  key
	free int64
}

func (t *Try) parties() [3]party {
	return [3]party{{key{kind: ofSite, site: t.Site}, siteFree}, {key{kind: ofNetwork, site: t.Network}, networkFree},
		{key{kind: ofAccount, name: t.Account}, accountFree}}
}

// delay is the time between two logins after so many failures.
func delay(failures, free int64, most time.Duration) time.Duration {
	if failures <= free || most == 0 {
		return 0
	}
	return min(firstDelay<<min(failures-free-1, 10), most)
}

func (g *Guard) count(k key, s Settings, at int64) *state {
	st := g.states.Make(k, at)
	st.per = s.Window
	st.failures.Add(1, s.Window, at)
	return st
}

func (g *Guard) locked(k key, at int64) bool {
	st := g.states.Get(k)
	return k.site.IsValid() && st != nil && st.locked > at
}

// home tells whether a login comes from where its account is at home, and has not been guessed at there.
func (g *Guard) home(t Try, s Settings, at int64) bool {
	h := g.homes.Get(t.Account)
	if h == nil || !h.has(t.Site, at) {
		return false
	}
	guessed := g.states.Get(key{kind: ofPair, site: t.Site, name: t.Account})
	return guessed == nil || guessed.failures.Used(s.Window, at) < pairFree
}

// homes are the places that an account has logged in from, the latest last.
type homes struct{ list []home }

type home struct {
	site  netip.Prefix
	until int64
}

func (h *homes) has(site netip.Prefix, at int64) bool {
	for _, one := range h.list {
		if one.site == site {
			return one.until > at
		}
	}
	return false
}

func (h *homes) settle(site netip.Prefix, until int64) {
	for i, one := range h.list {
		if one.site == site {
			h.list = append(h.list[:i], h.list[i+1:]...)
			break
		}
	}
	if len(h.list) >= maxHomes {
		h.list = append(h.list[:0], h.list[1:]...)
	}
	h.list = append(h.list, home{site, until})
}

// weight: an account that was logged in to lately weighs more.
func (h *homes) weight(now int64) int64 {
	if len(h.list) == 0 {
		return 0
	}
	return left(&h.list[len(h.list)-1].until, now)
}
