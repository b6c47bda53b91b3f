package screen

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/dnslist"
	"github.com/postrider/postrider/internal/decide/recall"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

const day = 24 * time.Hour

// world is a Screen with a clock of its own and a log.
type world struct {
	*Screen
	t    *testing.T
	now  time.Time
	said []string
}

func settings() *Settings {
	return &Settings{GreetWait: 2 * time.Second, DenylistAction: Ignore, Threshold: 3, AllowlistThreshold: -2, MinTTL: time.Minute,
		MaxTTL: time.Hour, Retention: 7 * day, Waiting: 100, WaitingPerClient: 3, Acquaintance: 30 * day,
		Rules: [tests]Rule{Greet: {true, Enforce, day}, Lists: {true, Enforce, 0}, Pipelining: {true, Enforce, 30 * day},
			Commands: {true, Drop, 30 * day}, Newlines: {true, Ignore, 30 * day}}}
}

func newWorld(t *testing.T, set *Settings) *world {
	w := &world{t: t, now: time.Unix(1_800_000_000, 0)}
	w.Screen = New(set, 1000, func(e obs.Screened) {
		text := string(e.What)
		if e.Count != 0 {
			text += fmt.Sprint(" ", e.Count)
		}
		if e.Text != "" {
			text += " " + e.Text
		}
		w.said = append(w.said, text)
	})
	return w
}

func peer(addr string) obs.Peer {
	return obs.Peer{Service: "smtp", Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 40000)}
}

// told is the log since the last call.
func (w *world) told(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.said, want) {
		w.t.Errorf("told %q, want %q", w.said, want)
	}
	w.said = nil
}

func answers(items ...string) (all []dnslist.Answer) {
	for _, item := range items {
		l, err := dnslist.Parse(item, true)
		if err != nil {
			panic(err)
		}
		all = append(all, dnslist.Answer{List: l, Name: "x." + l.Domain, Listed: true, TTL: 10 * time.Minute})
	}
	return append(all, dnslist.Answer{List: dnslist.List{Domain: "none", Weight: 1}, Name: "x.none", TTL: 2 * time.Hour})
}

func code(err error) int {
	if err == nil {
		return 250
	}
	return status.Of(err).Code
}

// visit is an ordinary client's whole connection.
func (w *world) visit(addr string, lists ...string) (waited time.Duration, connect, rcpt int) {
	w.t.Helper()
	c := w.Begin(w.now, peer(addr), Unlisted, false)
	waited = c.Pause()
	if c.AsksLists() && c.Scored(answers(lists...)) {
		waited = 0
	}
	w.now = w.now.Add(waited)
	if waited > 0 {
		c.Heard(w.now, nil, false)
	}
	if connect = code(c.Admit(w.now)); connect == 250 {
		rcpt = code(c.Rcpt(w.now))
	}
	c.Close(w.now)
	if _, _, waiting := w.Sizes(); waiting != 0 {
		w.t.Errorf("%d wait", waiting)
	}
	return waited, connect, rcpt
}

func TestGoodClientOverDays(t *testing.T) {
	w := newWorld(t, settings())
	for _, step := range []struct {
		after  time.Duration
		waited time.Duration
		lists  bool
		told   string
	}{
		{0, 2 * time.Second, true, "PASS NEW"},
		{time.Minute, 0, false, "PASS OLD"},      // nothing is due
		{11 * time.Minute, 0, true, "PASS OLD"},  // the lists' TTL is over
		{day, 2 * time.Second, true, "PASS OLD"}, // the greeting's too
		{20 * day, 2 * time.Second, true, "PASS OLD"},
		{12 * day, 2 * time.Second, true, "PASS OLD"}, // tests after the greeting are over, the client is still remembered
		{60 * day, 2 * time.Second, true, "PASS NEW"},
	} {
		w.now = w.now.Add(step.after)
		c := w.Begin(w.now, peer("192.0.2.1"), Unlisted, true)
		if c.AsksLists() != step.lists || c.Pause() != step.waited {
			t.Errorf("after %v: pause %v, lists %t", step.after, c.Pause(), c.AsksLists())
		}
		if waited, connect, rcpt := w.visit("192.0.2.1", "bl*2"); waited != step.waited || connect != 250 || rcpt != 250 {
			t.Errorf("after %v: waited %v, %d, %d", step.after, waited, connect, rcpt)
		}
		told := slices.DeleteFunc(w.said, func(s string) bool { return strings.HasPrefix(s, "LISTED") })
		if len(told) != 1 || told[0] != step.told {
			t.Errorf("after %v: %q", step.after, w.said)
		}
		w.said = nil
	}
}

func TestEarlyTalker(t *testing.T) {
	for action, want := range map[Action][2]int{Ignore: {250, 250}, Enforce: {250, 550}, Drop: {521, 0}} {
		set := settings()
		set.Rules[Greet].Action, set.Rules[Lists].On = action, false
		w := newWorld(t, set)
		for range 2 { // it is not forgiven by coming again
			c := w.Begin(w.now, peer("192.0.2.1"), Unlisted, false)
			c.Heard(w.now.Add(time.Second), []byte("EHLO spam\r\n"), false)
			connect, rcpt := code(c.Admit(w.now)), 0
			if connect == 250 {
				rcpt = code(c.Rcpt(w.now))
			}
			if connect != want[0] || rcpt != want[1] {
				t.Errorf("%s: %d, %d", action, connect, rcpt)
			}
			c.Close(w.now)
			w.told("PREGREET 11 EHLO spam\r\n")
			if c := w.Begin(w.now, peer("192.0.2.1"), Unlisted, true); c.Pause() == 0 {
				t.Errorf("%s: passed", action)
			}
		}
	}
}

func TestLists(t *testing.T) {
	set := settings()
	set.ListName = func(string) string { return "a list" }
	w := newWorld(t, set)
	c := w.Begin(w.now, peer("192.0.2.1"), Unlisted, false)
	if c.Scored(answers("wl*-1", "bl*4")) {
		t.Error("allowed")
	}
	c.Heard(w.now, nil, false)
	if err := c.Admit(w.now); err != nil {
		t.Error(err)
	}
	if err := c.Rcpt(w.now); err == nil || err.Error() != "550 5.7.1 Service unavailable; client [192.0.2.1] blocked using a list" {
		t.Error(err)
	}
	if score, known := c.Score(); score != 3 || !known {
		t.Error(score, known)
	}
	c.Close(w.now)
	w.told("DNSBL 3")
	if waited, connect, rcpt := w.visit("2001:db8::1", "wl*-2"); waited != 0 || connect != 250 || rcpt != 250 {
		t.Error("one whom the lists allow waits")
	}
	w.told("PASS NEW")
	if waited, _, _ := w.visit("2001:db8::ffff"); waited != 0 {
		t.Error("its neighbour in the /64 waits")
	}
	w.told("PASS OLD")
	set.Rules[Lists].Action = Drop
	if _, connect, _ := w.visit("192.0.2.1", "bl*4"); connect != 521 {
		t.Error(connect)
	}
	// Lists that cannot be asked list nobody; they are asked again soon.
	c = w.Begin(w.now, peer("192.0.2.9"), Unlisted, false)
	c.Scored([]dnslist.Answer{{List: dnslist.List{Domain: "bl", Weight: 9}, Name: "x.bl", Err: fmt.Errorf("SERVFAIL")}})
	if c.Admit(w.now) != nil || c.Rcpt(w.now) != nil {
		t.Error("refused for a list that is down")
	}
	c.Close(w.now)
	if c = w.Begin(w.now.Add(61*time.Second), peer("192.0.2.9"), Unlisted, true); !c.AsksLists() || c.Pause() != 0 {
		t.Error("not asked again")
	}
}

func TestAccessList(t *testing.T) {
	for action, want := range map[Action][2]int{Ignore: {250, 250}, Enforce: {250, 550}, Drop: {521, 0}} {
		set := settings()
		set.DenylistAction = action
		w := newWorld(t, set)
		c := w.Begin(w.now, peer("192.0.2.1"), Denied, false)
		c.Scored(answers())
		connect, rcpt := code(c.Admit(w.now)), 0
		if connect == 250 {
			rcpt = code(c.Rcpt(w.now))
		}
		if connect != want[0] || rcpt != want[1] {
			t.Errorf("%s: %d, %d", action, connect, rcpt)
		}
	}
	w := newWorld(t, settings())
	c := w.Begin(w.now, peer("192.0.2.1"), Permitted, false)
	if c.Pause() != 0 || c.AsksLists() || c.Tested() || c.Rcpt(w.now) != nil {
		t.Error("the permitted one is tested")
	}
	w.told("ALLOWLISTED")
}

func TestAfterTheGreeting(t *testing.T) {
	w := newWorld(t, settings())
	for _, test := range []struct {
		test  Test
		check int
		rcpt  int
		told  string
	}{{Pipelining, 250, 550, "COMMAND PIPELINING MAIL"}, {Commands, 521, 521, "NON-SMTP COMMAND GET"}, {Newlines, 250, 250, "BARE NEWLINE"}} {
		c := w.Begin(w.now, peer("192.0.2.1"), Unlisted, false)
		c.Scored(answers())
		c.Heard(w.now, nil, false)
		if c.Admit(w.now) != nil {
			t.Error("refused before it did anything")
		}
		_, text, _ := strings.Cut(test.told, string(map[Test]string{Pipelining: "PIPELINING ", Commands: "COMMAND ", Newlines: "NEWLINE "}[test.test]))
		c.Violated(w.now, test.test, "EHLO", text)
		c.Violated(w.now, test.test, "EHLO", "once is enough")
		if got := code(c.Check()); got != test.check {
			t.Errorf("%v: %d", test.test, got)
		}
		if got := code(c.Rcpt(w.now)); got != test.rcpt {
			t.Errorf("%v: %d", test.test, got)
		}
		c.Close(w.now)
		w.told(test.told)
	}
}

func TestHangup(t *testing.T) {
	w := newWorld(t, settings())
	c := w.Begin(w.now, peer("192.0.2.1"), Unlisted, false)
	c.Heard(w.now.Add(time.Second), nil, true)
	w.told("HANGUP tests before SMTP handshake")
	c = w.Begin(w.now, peer("192.0.2.1"), Unlisted, false)
	c.Scored(answers())
	c.Heard(w.now.Add(time.Second), nil, false)
	_ = c.Admit(w.now)
	c.Close(w.now)
	w.told("HANGUP tests after SMTP handshake")
	if _, _, waiting := w.Sizes(); waiting != 0 {
		t.Errorf("%d wait", waiting)
	}
	if c = w.Begin(w.now, peer("192.0.2.1"), Unlisted, true); c.Pause() != 0 {
		t.Error("what it had passed is forgotten") // it waited all the time
	}
}

func TestRoomToWait(t *testing.T) {
	w := newWorld(t, settings())
	var all []*Client
	for range 4 {
		all = append(all, w.Begin(w.now, peer("192.0.2.1"), Unlisted, false))
	}
	if err := all[3].Admit(w.now); err == nil || err.Error() != "421 4.7.0 Error: too many connections" {
		t.Error("a client waits four times", err)
	}
	if err := w.Begin(w.now, peer("192.0.2.2"), Unlisted, false).Admit(w.now); err != nil {
		t.Error("another one may not wait", err)
	}
	all = nil
	w = newWorld(t, settings())
	for i := range 101 {
		c := w.Begin(w.now, peer(fmt.Sprint("192.0.2.", i)), Unlisted, false)
		if refused := !c.AsksLists(); refused != (i == 100) {
			t.Errorf("client %d: %t", i, refused)
		}
		all = append(all, c)
	}
	if err := all[len(all)-1].Admit(w.now); err == nil || err.Error() != "421 4.3.2 All screening ports are busy" {
		t.Error(err)
	}
}

func TestAcquaintance(t *testing.T) {
	w := newWorld(t, settings())
	w.Meet(w.now, netip.MustParseAddr("192.0.2.1"))
	w.Meet(w.now, netip.MustParseAddr("127.0.0.1"))
	for addr, known := range map[string]bool{"192.0.2.77": true, "192.0.3.1": false, "127.0.0.1": false, "2001:db8::1": false} {
		if c := w.Begin(w.now, peer(addr), Unlisted, true); (c.Pause() == 0) != known || w.Knows(w.now, netip.MustParseAddr(addr)) != known {
			t.Errorf("%s: pause %v", addr, c.Pause())
		}
	}
	put, _ := w.Drain(w.now, KindKnown)
	w.Meet(w.now.Add(day), netip.MustParseAddr("192.0.2.2"))
	if again, _ := w.Drain(w.now, KindKnown); len(put) != 1 || len(again) != 0 {
		t.Errorf("written %d, then %d", len(put), len(again))
	}
	if w.Knows(w.now.Add(31*day), netip.MustParseAddr("192.0.2.1")) {
		t.Error("known for ever")
	}
}

func TestRemembered(t *testing.T) {
	w := newWorld(t, settings())
	w.visit("192.0.2.1")
	put, _ := w.Drain(w.now, KindPassed)
	if len(put) != 1 {
		t.Fatalf("%+v", put)
	}
	w.Undrain(KindPassed, put, nil)
	if again, _ := w.Drain(w.now, KindPassed); !slices.Equal(put, again) {
		t.Errorf("%v, then %v", put, again)
	}
	other := newWorld(t, settings())
	other.Restore(other.now, KindPassed, put[0])
	if waited, _, _ := other.visit("192.0.2.1"); waited != 0 {
		t.Error("forgotten by the restart")
	}
	for _, bad := range []string{"", "x", "g", "gg", "g12x3", "99", "g99999999999999999999"} {
		if r := decode(bad); r[Lists] != 0 || (r != record{} && bad != "g12x3") {
			t.Errorf("%q: %v", bad, r)
		}
	}
	other.Restore(other.now, KindPassed, recall.Item{Key: "192.0.2.5/32", Value: "rubbish", Until: other.now.Add(day)})
	if waited, _, _ := other.visit("192.0.2.5"); waited == 0 {
		t.Error("passed by rubbish")
	}
}
