package mailstore_test

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/mailstore"
	"pgregory.net/rapid"
)

// model is a mailbox as anybody would write it down.
type model struct {
	name    mailstore.Name
	next    uint32
	entries map[uint32]mailstore.Entry // ModSeq and Saved left out
}

func (m *model) list() []mailstore.Entry {
	return slices.SortedFunc(maps.Values(m.entries), func(a, b mailstore.Entry) int { return cmp.Compare(a.UID, b.UID) })
}

func (m *model) add(e mailstore.Entry) uint32 {
	e.UID, e.ModSeq = m.next, 0
	m.entries[e.UID] = e
	m.next++
	return e.UID
}

func (m *model) in(rs []mailstore.Range) (out []mailstore.Entry) {
	for _, e := range m.list() {
		for _, r := range rs {
			if r.First <= e.UID && e.UID <= r.Last {
				out = append(out, e)
			}
		}
	}
	return out
}

// Random deliveries, flag changes, copies, moves and expunges over three mailboxes: the store is what the model says, the
// feed alone leads to the same, modification sequences rise, and the invariants hold.
func TestStoreAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := packs{}
		s := mailstore.New(mailstore.Options{DB: dbtest.Open(t), Blobs: p})
		ctx := t.Context()
		if err := s.CreateAccount(ctx, me); err != nil {
			rt.Fatal(err)
		}
		boxes := []*model{{name: mailstore.Inbox()}, {name: mailstore.Name{"Archive"}}, {name: mailstore.Name{"Junk"}}}
		ids := make([]int64, len(boxes))
		fed := make([]map[uint32]mailstore.Entry, len(boxes)) // what a watcher knows
		last := int64(0)
		for i, b := range boxes {
			m, err := s.Mailbox(ctx, me, b.name)
			if err != nil {
				rt.Fatal(err)
			}
			b.next, b.entries, ids[i], fed[i] = 1, map[uint32]mailstore.Entry{}, m.ID, map[uint32]mailstore.Entry{}
			defer s.Watch(me, m.ID, func(c mailstore.Change) {
				if c.ModSeq <= last {
					rt.Errorf("modseq %d after %d", c.ModSeq, last)
				}
				last = c.ModSeq
				for _, e := range c.Entries {
					e.ModSeq, e.Saved = 0, 0
					fed[i][e.UID] = e
				}
				for _, uid := range c.Expunged {
					delete(fed[i], uid)
				}
			})()
		}
		which := rapid.IntRange(0, len(boxes)-1)
		ranges := rapid.Custom(func(t *rapid.T) []mailstore.Range {
			a := rapid.Uint32Range(1, 8).Draw(t, "first")
			r := []mailstore.Range{{First: a, Last: a + rapid.Uint32Range(0, 4).Draw(t, "more")}}
			if rapid.Bool().Draw(t, "two") {
				b := r[0].Last + rapid.Uint32Range(1, 3).Draw(t, "gap")
				r = append(r, mailstore.Range{First: b, Last: b + 3})
			}
			return r
		})
		emails := int64(0)
		rt.Repeat(map[string]func(*rapid.T){
			"deliver": func(rt *rapid.T) {
				i := which.Draw(rt, "mailbox")
				emails++
				e := p.put("x")
				d := mailstore.Delivery{QueueID: queueid.New(emails, 1), Account: me, Folder: boxes[i].name, Email: e}
				for range rapid.IntRange(1, 2).Draw(rt, "times") { // a repeat is a no-op
					if each, err := s.Deliver(ctx, []mailstore.Delivery{d}); err != nil || each[0] != nil {
						rt.Fatal(err, each)
					}
				}
				boxes[i].add(mailstore.Entry{Email: emails, Size: e.Size, InternalDate: e.Received.Unix()})
			},
			"append": func(rt *rapid.T) {
				i := which.Draw(rt, "mailbox")
				emails++
				e := p.put("y")
				_, uid, err := s.Append(ctx, &mailstore.Append{Account: me, Mailbox: boxes[i].name, Flags: mailstore.Draft, Keywords: "k", Email: e})
				want := boxes[i].add(mailstore.Entry{Email: emails, Flags: mailstore.Draft, Keywords: "k", Size: e.Size, InternalDate: e.Received.Unix()})
				if err != nil || uid != want {
					rt.Fatalf("append: UID %d, want %d: %v", uid, want, err)
				}
			},
			"flags": func(rt *rapid.T) {
				i, rs := which.Draw(rt, "mailbox"), ranges.Draw(rt, "uids")
				c := mailstore.FlagChange{Op: mailstore.FlagOp(rapid.IntRange(0, 2).Draw(rt, "op")), Flags: mailstore.Flags(rapid.IntRange(0, 31).Draw(rt, "flags")),
					Keywords: rapid.SampledFrom([]string{"", "a", "a k", "k"}).Draw(rt, "keywords")}
				if _, _, err := s.StoreFlags(ctx, me, ids[i], rs, c); err != nil {
					rt.Fatal(err)
				}
				for _, e := range boxes[i].in(rs) {
					words := map[string]bool{"a": e.Keywords == "a" || e.Keywords == "a k", "k": e.Keywords == "k" || e.Keywords == "a k"}
					for _, w := range []string{"a", "k"} {
						named := c.Keywords == w || c.Keywords == "a k"
						switch c.Op {
						case mailstore.AddFlags:
							words[w] = words[w] || named
						case mailstore.RemoveFlags:
							words[w] = words[w] && !named
						default:
							words[w] = named
						}
					}
					switch c.Op {
					case mailstore.AddFlags:
						e.Flags |= c.Flags
					case mailstore.RemoveFlags:
						e.Flags &^= c.Flags
					default:
						e.Flags = c.Flags
					}
					e.Keywords = map[[2]bool]string{{true, true}: "a k", {true, false}: "a", {false, true}: "k"}[[2]bool{words["a"], words["k"]}]
					boxes[i].entries[e.UID] = e
				}
			},
			"copy": func(rt *rapid.T) {
				i, to, rs := which.Draw(rt, "from"), which.Draw(rt, "to"), ranges.Draw(rt, "uids")
				_, pairs, err := s.Copy(ctx, me, ids[i], rs, boxes[to].name)
				if err != nil {
					rt.Fatal(err)
				}
				source := boxes[i].in(rs)
				if len(pairs) != len(source) {
					rt.Fatalf("%d pairs for %d messages", len(pairs), len(source))
				}
				for n, e := range source {
					if uid := boxes[to].add(e); pairs[n] != (mailstore.Placed{From: e.UID, To: uid}) {
						rt.Fatalf("pair %v, want %d → %d", pairs[n], e.UID, uid)
					}
				}
			},
			"move": func(rt *rapid.T) {
				i, to, rs := which.Draw(rt, "from"), which.Draw(rt, "to"), ranges.Draw(rt, "uids")
				if _, _, err := s.Move(ctx, me, ids[i], rs, boxes[to].name, "test"); err != nil {
					rt.Fatal(err)
				}
				for _, e := range boxes[i].in(rs) {
					boxes[to].add(e)
					delete(boxes[i].entries, e.UID)
				}
			},
			"expunge": func(rt *rapid.T) {
				i, rs := which.Draw(rt, "mailbox"), ranges.Draw(rt, "uids")
				if _, err := s.Expunge(ctx, me, ids[i], rs, "test"); err != nil {
					rt.Fatal(err)
				}
				for _, e := range boxes[i].in(rs) {
					if e.Flags&mailstore.Deleted != 0 {
						delete(boxes[i].entries, e.UID)
					}
				}
			},
			"": func(rt *rapid.T) {
				for i, b := range boxes {
					var got []mailstore.Entry
					m, err := s.Snapshot(ctx, me, ids[i], func(e mailstore.Entry) { e.ModSeq, e.Saved = 0, 0; got = append(got, e) })
					if err != nil || !slices.Equal(got, b.list()) {
						rt.Fatalf("%v: store has %+v, model %+v %v", b.name, got, b.list(), err)
					}
					if m.UIDNext != b.next || int(m.Messages) != len(b.entries) {
						rt.Fatalf("%v: counters %+v, model next %d of %d", b.name, m, b.next, len(b.entries))
					}
					if !maps.Equal(fed[i], b.entries) {
						rt.Fatalf("%v: the feed led to %+v, model %+v", b.name, fed[i], b.entries)
					}
				}
			},
		})
		if err := s.Verify(ctx); err != nil {
			rt.Fatalf("invariants: %v", err)
		}
	})
}
