package screen

import (
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/decide/dnslist"
	"github.com/postrider/postrider/internal/decide/recall"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// Permission is what the access list says of a client.
type Permission int

// The permissions.
const (
	Unlisted  Permission = iota
	Permitted            // no test
	Denied               // Settings.DenylistAction
)

// Client is one connection. Its methods are called one at a time, except Heard and Scored, which may come at once.
type Client struct {
	s     *Screen
	set   *Settings
	peer  obs.Peer
	site  netip.Prefix
	began time.Time
	dry   bool

	// Guarded by Screen.mu.
	due     [tests]bool // still to be passed
	failed  [tests]bool
	had     record // what was passed before
	old     bool   // it was remembered
	waiting bool
	greeted bool
	scored  bool
	ttl     time.Duration // of the lists' answers
	score   int
	drop    *status.Error // said before the greeting
	refuse  *status.Error // said to each recipient
	settled bool          // there is nothing left to find out
	out     []obs.Screened
}

// The replies, as postscreen gives them.
var (
	errDenied       = status.Perm(550, 3, 2, "Service currently unavailable")
	errProtocol     = status.Perm(550, 5, 1, "Protocol error")
	errDropDenied   = status.Perm(521, 3, 2, "Service currently unavailable")
	errDropProtocol = status.Perm(521, 5, 1, "Protocol error")
	errBusy         = status.Temp(421, 3, 2, "All screening ports are busy")
	errCrowded      = status.Temp(421, 7, 0, "Error: too many connections")
)

// Begin is a new connection. dry remembers nothing and counts nothing.
func (s *Screen) Begin(now time.Time, peer obs.Peer, p Permission, dry bool) *Client {
	a := peer.Addr.Addr()
	c := &Client{s: s, peer: peer, site: Site(a), began: now, dry: dry}
	defer c.locked()()
	c.set = s.set
	switch p {
	case Permitted:
		c.say(obs.Screened{What: obs.ScreenAllowlisted})
		c.settled = true
		return c
	case Denied:
		c.say(obs.Screened{What: obs.ScreenDenylisted})
		c.fail(c.set.DenylistAction, errDenied, errDropDenied)
		if c.drop != nil {
			return c
		}
	case Unlisted:
		if s.knows(now, a) {
			c.settled = true
			return c
		}
	}
	return c.begin(now, p)
}

func (c *Client) begin(now time.Time, p Permission) *Client {
	s := c.s
	value, _, old := s.passed.Get(now, c.site.String())
	c.old, c.had = old, decode(value)
	any := false
	for t, rule := range c.set.Rules {
		c.due[t] = rule.On && c.had[t] <= now.Unix()
		any = any || c.due[t]
	}
	if !any {
		if old && p != Denied {
			c.pass(now)
		}
		c.settled = true
		return c
	}
	if (c.due[Greet] || c.due[Lists]) && !c.dry {
		c.drop = s.enter(c.site)
		c.waiting = c.drop == nil
	}
	return c
}

// Pause is how long the greeting must wait.
func (c *Client) Pause() time.Duration {
	if c.due[Greet] && c.drop == nil {
		return c.set.GreetWait
	}
	return 0
}

// AsksLists tells whether DNS lists must be asked, and Scored be called.
func (c *Client) AsksLists() bool { return c.due[Lists] && c.drop == nil }

// Tested tells whether anything of this client is still open, or against it: if not, no further call is needed.
func (c *Client) Tested() bool {
	for t := range c.due {
		if c.due[t] {
			return true
		}
	}
	return c.drop != nil || c.refuse != nil
}

// Heard is the end of the pause: what the client said meanwhile, or that it is gone.
func (c *Client) Heard(now time.Time, early []byte, gone bool) {
	defer c.locked()()
	switch {
	case gone:
		c.say(obs.Screened{What: obs.ScreenHangup, After: now.Sub(c.began), Text: "tests before SMTP handshake"})
		c.stopWaiting()
	case len(early) > 0 && c.due[Greet]:
		c.say(obs.Screened{What: obs.ScreenPregreet, After: now.Sub(c.began), Count: len(early), Text: string(early[:min(len(early), 100)])})
		c.failed[Greet] = true
		c.fail(c.set.Rules[Greet].Action, errProtocol, errDropProtocol)
	}
}

// Scored is the answers of the lists. enough: they allow the client, so that the pause may end.
func (c *Client) Scored(answers []dnslist.Answer) (enough bool) {
	defer c.locked()()
	c.scored, c.ttl = true, c.set.MaxTTL
	top := dnslist.Answer{}
	for _, a := range answers {
		if a.Listed {
			for _, code := range a.Codes {
				c.say(obs.Screened{What: obs.ScreenListed, Text: a.List.Domain, Code: code})
			}
			if top.Name == "" || a.List.Weight > top.List.Weight {
				top = a
			}
		}
		ttl := a.TTL
		if ttl <= 0 && a.Name != "" {
			ttl = c.set.MinTTL
		}
		if a.Name != "" {
			c.ttl = min(c.ttl, ttl)
		}
	}
	c.ttl = max(c.ttl, c.set.MinTTL)
	c.score = dnslist.Score(answers)
	if c.score >= c.set.Threshold {
		c.say(obs.Screened{What: obs.ScreenDNSBL, Count: c.score})
		c.failed[Lists] = true
		name := top.List.Domain
		if c.set.ListName != nil {
			name = c.set.ListName(name)
		}
		text := "Service unavailable; client [" + c.peer.Addr.Addr().Unmap().String() + "] blocked using " + name
		c.fail(c.set.Rules[Lists].Action, status.Perm(550, 7, 1, text), status.Perm(521, 7, 1, text))
	}
	return c.allowed() || c.drop != nil
}

// allowed tells whether lists speak so well of a client that it need not be tested.
func (c *Client) allowed() bool {
	return c.scored && c.set.AllowlistThreshold < 0 && c.score <= c.set.AllowlistThreshold
}

// Score is what the lists say; known: they were asked.
func (c *Client) Score() (score int, known bool) {
	defer c.locked()()
	return c.score, c.scored
}

// Admit ends the tests before the greeting: an error is said in its place.
func (c *Client) Admit(now time.Time) error {
	defer c.locked()()
	c.stopWaiting()
	if c.drop != nil {
		return c.drop
	}
	if c.greeted = true; c.settled {
		return nil
	}
	if c.allowed() {
		for t := range c.due {
			c.passed(Test(t), now)
		}
	}
	c.passed(Greet, now)
	if c.scored {
		c.passed(Lists, now)
	}
	c.remember(now)
	c.pass(now)
	return nil
}

// Violated is something that a client must not do after the greeting; after is the command before it.
func (c *Client) Violated(now time.Time, t Test, after, text string) {
	defer c.locked()()
	if !c.due[t] || c.failed[t] {
		return
	}
	what := map[Test]obs.ScreenWord{Pipelining: obs.ScreenPipelining, Commands: obs.ScreenCommand, Newlines: obs.ScreenNewline}[t]
	c.say(obs.Screened{What: what, After: now.Sub(c.began), Command: after, Text: text})
	c.failed[t] = true
	c.fail(c.set.Rules[t].Action, errProtocol, errDropProtocol)
}

// Check is asked at each command after the greeting: an error is the reply; that of 521 ends the connection.
func (c *Client) Check() error {
	defer c.locked()()
	if c.drop != nil {
		return c.drop
	}
	return nil // not c.drop: a nil *status.Error is an error that is not nil
}

// Rcpt judges a recipient. A client that has come so far without a fault has passed all tests.
func (c *Client) Rcpt(now time.Time) error {
	defer c.locked()()
	switch {
	case c.drop != nil:
		return c.drop
	case c.refuse != nil:
		return c.refuse
	case c.settled:
		return nil
	}
	for _, t := range []Test{Pipelining, Commands, Newlines} {
		c.passed(t, now)
	}
	c.remember(now)
	c.pass(now)
	return nil
}

// Close ends the connection; it may be called again.
func (c *Client) Close(now time.Time) {
	defer c.locked()()
	c.stopWaiting()
	if c.greeted && !c.settled && c.failed == ([tests]bool{}) {
		c.settled = true
		c.say(obs.Screened{What: obs.ScreenHangup, After: now.Sub(c.began), Text: "tests after SMTP handshake"})
	}
}

// fail does what an action says. What is decided first stays.
func (c *Client) fail(a Action, refuse, drop *status.Error) {
	switch a {
	case Drop:
		if c.drop == nil {
			c.drop = drop
		}
	case Enforce:
		if c.refuse == nil {
			c.refuse = refuse
		}
	}
}

// passed notes that a test is passed, unless it was failed.
func (c *Client) passed(t Test, now time.Time) {
	if !c.due[t] || c.failed[t] {
		return
	}
	ttl := c.set.Rules[t].TTL
	if t == Lists {
		ttl = c.ttl
	}
	c.due[t] = false
	c.had[t] = now.Add(ttl).Unix()
}

// remember writes down what was passed. Somebody who is refused has passed nothing.
func (c *Client) remember(now time.Time) {
	if c.dry || c.refuse != nil || c.drop != nil || c.had == (record{}) {
		return
	}
	c.s.passed.Put(now, recall.Item{Key: c.site.String(), Value: c.had.encode(), Until: c.had.latest().Add(c.set.Retention)})
}

// pass tells that there is nothing left to test.
func (c *Client) pass(now time.Time) {
	for t := range c.due {
		if c.due[t] {
			return
		}
	}
	if c.settled || c.refuse != nil || c.drop != nil {
		return
	}
	c.settled = true
	what := obs.ScreenPassNew
	if c.old {
		what = obs.ScreenPassOld
	}
	c.say(obs.Screened{What: what, After: now.Sub(c.began)})
}

func (c *Client) stopWaiting() {
	if c.waiting {
		c.waiting = false
		c.s.leave(c.site)
	}
}

// say keeps what is told when the lock is given back: a log may be slow.
func (c *Client) say(e obs.Screened) {
	if !c.dry {
		e.Peer = c.peer
		c.out = append(c.out, e)
	}
}

func (c *Client) locked() (unlock func()) {
	c.s.mu.Lock()
	return func() {
		out := c.out
		c.out = nil
		c.s.mu.Unlock()
		for _, e := range out {
			c.s.tell(e)
		}
	}
}
