package mailstore_test

import (
	"cmp"
	"errors"
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
		mailstore.SetSlice(s, rapid.SampledFrom([]int{1, 3, 5000}).Draw(rt, "slice"))
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
		since, seen := make([]int64, len(boxes)), make([]map[uint32]mailstore.Entry, len(boxes)) // of a client that is away
		for i := range boxes {
			m, err := s.Mailbox(ctx, me, boxes[i].name)
			if err != nil {
				rt.Fatal(err)
			}
			since[i], seen[i] = m.ModSeq, map[uint32]mailstore.Entry{}
		}
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
				a := &mailstore.Append{Account: me, Mailbox: boxes[i].name}
				var want []uint32
				for range rapid.IntRange(1, 3).Draw(rt, "messages") {
					emails++
					e := p.put("y")
					a.Messages = append(a.Messages, mailstore.NewEntry{Flags: mailstore.Draft, Keywords: "k", Email: e})
					want = append(want, boxes[i].add(mailstore.Entry{Email: emails, Flags: mailstore.Draft, Keywords: "k", Size: e.Size, InternalDate: e.Received.Unix()}))
				}
				_, uids, err := s.Append(ctx, a)
				if err != nil || !slices.Equal(uids, want) {
					rt.Fatalf("append: UIDs %v, want %v: %v", uids, want, err)
				}
			},
			"replace": func(rt *rapid.T) {
				i, from, uid := which.Draw(rt, "mailbox"), which.Draw(rt, "from"), rapid.Uint32Range(1, 8).Draw(rt, "uid")
				e := p.put("z")
				_, uids, err := s.Append(ctx, &mailstore.Append{Account: me, Mailbox: boxes[i].name, Messages: []mailstore.NewEntry{{Email: e}},
					Replaces: &mailstore.Replaced{Mailbox: ids[from], UID: uid}})
				if _, there := boxes[from].entries[uid]; !there {
					if !errors.Is(err, mailstore.ErrGone) {
						rt.Fatalf("replacing what is not there: %v", err)
					}
					return
				}
				emails++
				delete(boxes[from].entries, uid)
				if want := boxes[i].add(mailstore.Entry{Email: emails, Size: e.Size, InternalDate: e.Received.Unix()}); err != nil || uids[0] != want {
					rt.Fatalf("replace: UIDs %v, want %d: %v", uids, want, err)
				}
			},
			"flags": func(rt *rapid.T) {
				i, rs := which.Draw(rt, "mailbox"), ranges.Draw(rt, "uids")
				c := mailstore.FlagChange{Op: mailstore.FlagOp(rapid.IntRange(0, 2).Draw(rt, "op")), Flags: mailstore.Flags(rapid.IntRange(0, 31).Draw(rt, "flags")),
					Keywords: rapid.SampledFrom([]string{"", "a", "a k", "k"}).Draw(rt, "keywords")}
				c.Conditional, c.UnchangedSince = rapid.Bool().Draw(rt, "conditional"), rapid.Int64Range(0, last+1).Draw(rt, "unchanged since")
				newer := map[uint32]bool{}
				list, err := s.Entries(ctx, me, ids[i], rs)
				if err != nil {
					rt.Fatal(err)
				}
				for _, e := range list {
					newer[e.UID] = c.Conditional && e.ModSeq > c.UnchangedSince
				}
				_, kept, err := s.StoreFlags(ctx, me, ids[i], rs, c)
				if err != nil {
					rt.Fatal(err)
				}
				for _, e := range boxes[i].in(rs) {
					if newer[e.UID] != slices.Contains(kept, e.UID) {
						rt.Fatalf("kept %v, newer are %v", kept, newer)
					}
					if newer[e.UID] {
						continue
					}
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
			"come back": func(rt *rapid.T) {
				i := which.Draw(rt, "mailbox")
				gone, known, err := s.Vanished(ctx, me, ids[i], since[i])
				if err != nil || !known {
					rt.Fatal(known, err)
				}
				for _, uid := range gone {
					delete(seen[i], uid)
				}
				m, err := s.Snapshot(ctx, me, ids[i], func(e mailstore.Entry) {
					if e.ModSeq > since[i] {
						e.ModSeq, e.Saved = 0, 0
						seen[i][e.UID] = e
					}
				})
				if since[i] = m.ModSeq; err != nil || !maps.Equal(seen[i], boxes[i].entries) {
					rt.Fatalf("who comes back has %+v, model %+v %v", seen[i], boxes[i].entries, err)
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
