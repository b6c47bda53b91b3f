package order_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/crash/disk"
	"github.com/postrider/postrider/test/crash/ledger"
	"github.com/postrider/postrider/test/crash/order"
	"github.com/postrider/postrider/test/crash/trace"
)

// script is a trace under construction. Each call is one event on lines of its
// own; begin and end make one that overlaps others.
type script struct {
	line   int64
	events []trace.Event
}

func (s *script) add(e trace.Event) {
	s.line++
	e.Begin, e.End = s.line, s.line
	s.events = append(s.events, e)
}

func (s *script) begin(e trace.Event) trace.Event {
	s.line++
	e.Begin = s.line
	return e
}

func (s *script) end(e trace.Event) {
	s.line++
	e.End = s.line
	s.events = append(s.events, e)
}

func create(path string) trace.Event {
	return trace.Event{Kind: trace.Open, FD: 3, Path: "/d/" + path, Flags: "O_RDWR|O_CREAT"}
}

func write(path, data string, at int64) trace.Event {
	return trace.Event{Kind: trace.Write, FD: 3, Path: "/d/" + path, Data: []byte(data), Offset: at}
}

func sync(path string) trace.Event {
	if path == "." {
		return trace.Event{Kind: trace.Sync, FD: 4, Path: "/d"}
	}
	return trace.Event{Kind: trace.Sync, FD: 3, Path: "/d/" + path}
}

func failedSync(path string) trace.Event {
	e := sync(path)
	e.Err = "EIO"
	return e
}

func reply(text string) trace.Event {
	return trace.Event{Kind: trace.Write, FD: 9, Path: "TCP:[127.0.0.1:25->127.0.0.1:999]", Data: []byte(text), Offset: -1}
}

func frame(commit uint32) string {
	b := make([]byte, 24)
	binary.BigEndian.PutUint32(b, 2)
	binary.BigEndian.PutUint32(b[4:], commit)
	return string(b)
}

func walHead(page uint32) string {
	b := make([]byte, 32)
	binary.BigEndian.PutUint32(b[8:], page)
	return string(b)
}

func page(text string) string { return text + strings.Repeat("\x00", 512-len(text)) }

const (
	token = "token-0001"
	ok250 = "250 2.0.0 queued token-0001\r\n"
)

func TestCheck(t *testing.T) {
	setup := func(s *script) { // a pack whose entry is durable, a WAL likewise
		s.add(create("p.pack"))
		s.add(create("s-wal"))
		s.add(sync("."))
	}
	for _, c := range []struct {
		name string
		kind string
		run  func(s *script)
		want string // part of the violation; "" = none
	}{
		{"written, synced, answered", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(sync("p.pack"))
			s.add(reply(ok250))
		}, ""},
		{"no sync", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(reply(ok250))
			s.add(sync("p.pack"))
		}, "no sync of the file"},
		{"sync of another file", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(sync("s-wal"))
			s.add(reply(ok250))
		}, "no sync of the file"},
		{"sync began before the write returned", "250", func(s *script) {
			setup(s)
			w := s.begin(write("p.pack", "mail "+token, 0))
			f := s.begin(sync("p.pack"))
			s.end(w)
			s.end(f)
			s.add(reply(ok250))
		}, "no sync of the file"},
		{"sync returned after the answer began", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			f := s.begin(sync("p.pack"))
			r := s.begin(reply(ok250))
			s.end(f)
			s.end(r)
		}, "no sync of the file"},
		{"write still running", "250", func(s *script) {
			setup(s)
			w := s.begin(write("p.pack", "mail "+token, 0))
			s.add(reply(ok250))
			s.end(w)
		}, "had not returned"},
		{"sync failed", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(failedSync("p.pack"))
			s.add(reply(ok250))
		}, "no sync of the file"},
		{"sync failed, the next one did not", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(failedSync("p.pack"))
			s.add(sync("p.pack"))
			s.add(reply(ok250))
		}, "no sync of the file"},
		{"second write of the message not synced", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(sync("p.pack"))
			s.add(write("p.pack", "trailer "+token, 15))
			s.add(reply(ok250))
		}, "write of 18 bytes at 15"},
		{"token torn over two writes, the second not synced", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail token", 0))
			s.add(sync("p.pack"))
			s.add(write("p.pack", "-0001", 10))
			s.add(reply(ok250))
		}, "write of 5 bytes at 10"},
		{"token torn over two writes, the first not synced", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail token", 0))
			f := s.begin(sync("p.pack"))
			s.end(f)
			s.events[len(s.events)-2].End = s.line // the write returned late
			s.line++
			s.add(write("p.pack", "-0001", 10))
			f = s.begin(sync("p.pack"))
			s.end(f)
			s.add(reply(ok250))
		}, ""},
		{"entry not synced", "250", func(s *script) {
			s.add(create("p.pack"))
			s.add(write("p.pack", "mail "+token, 0))
			s.add(sync("p.pack"))
			s.add(reply(ok250))
		}, "entry p.pack"},
		{"entry of the directory above not synced", "250", func(s *script) {
			s.add(trace.Event{Kind: trace.Mkdir, FD: -1, Path: "/d/b"})
			s.add(create("b/p.pack"))
			s.add(write("b/p.pack", "mail "+token, 0))
			s.add(sync("b/p.pack"))
			s.add(sync("b"))
			s.add(reply(ok250))
		}, "entry b "},
		{"renamed, and the new name not synced", "250", func(s *script) {
			s.add(create("p.tmp"))
			s.add(write("p.tmp", "mail "+token, 0))
			s.add(sync("p.tmp"))
			s.add(sync("."))
			s.add(trace.Event{Kind: trace.Rename, FD: -1, Path: "/d/p.tmp", To: "/d/p.pack"})
			s.add(reply(ok250))
		}, "no write with"}, // under the name p.tmp it promises nothing
		{"no write at all", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail of somebody else", 0))
			s.add(sync("p.pack"))
			s.add(reply(ok250))
		}, "no write with"},
		{"reply not in the trace", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(sync("p.pack"))
			s.add(reply("250 ok\r\n"))
		}, "no socket write with its reply"},
		{"reply in two writes counts from the first", "250", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(reply(ok250[:9]))
			s.add(sync("p.pack"))
			s.add(reply(ok250[9:]))
		}, "no sync of the file"},
		{"no rule for the kind", "553", func(s *script) {
			setup(s)
			s.add(reply(ok250))
		}, "no rule says"},
		{"pack and WAL synced", "APPENDUID", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(sync("p.pack"))
			s.add(write("s-wal", walHead(512), 0))
			s.add(write("s-wal", frame(0), 32))
			s.add(write("s-wal", page(token), 56))
			s.add(write("s-wal", frame(2), 568))
			s.add(write("s-wal", page("root"), 592))
			s.add(sync("s-wal"))
			s.add(reply(ok250))
		}, ""},
		{"the row's frame is synced, the commit frame is not", "APPENDUID", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(sync("p.pack"))
			s.add(write("s-wal", walHead(512), 0))
			s.add(write("s-wal", frame(0)+page(token), 32))
			s.add(sync("s-wal"))
			s.add(write("s-wal", frame(2)+page("root"), 568))
			s.add(reply(ok250))
		}, "at 568 to s-wal"},
		{"no commit frame", "APPENDUID", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(sync("p.pack"))
			s.add(write("s-wal", walHead(512)+frame(0)+page(token), 0))
			s.add(sync("s-wal"))
			s.add(reply(ok250))
		}, "has no commit frame"},
		{"a later transaction writes the row's page again", "APPENDUID", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(sync("p.pack"))
			s.add(write("s-wal", walHead(512)+frame(2)+page(token), 0))
			s.add(sync("s-wal"))
			s.add(write("s-wal", frame(2)+page(token+" and another"), 568))
			s.add(reply(ok250))
		}, ""},
		{"no row in the WAL", "APPENDUID", func(s *script) {
			setup(s)
			s.add(write("p.pack", "mail "+token, 0))
			s.add(sync("p.pack"))
			s.add(reply(ok250))
		}, "wal: no write with"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s script
			c.run(&s)
			h, err := disk.Build(s.events, "/d", "")
			if err != nil {
				t.Fatal(err)
			}
			r, err := order.Check(order.Input{Events: s.events, History: h, Rules: rules,
				Acks: []ledger.Ack{{ID: "m1", Kind: c.kind, Marks: []string{token}, Reply: []byte(ok250), Peer: "127.0.0.1:999"}}})
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if err := r.Err(); err != nil {
					t.Error(err)
				}
				return
			}
			if r.Err() == nil || len(r.Violations) != 1 || !strings.Contains(r.String(), c.want) {
				t.Errorf("want one violation with %q: %s", c.want, r)
			}
		})
	}
}

var rules = map[string][]order.Promise{
	"250":       {pack},
	"APPENDUID": {pack, wal},
}

var (
	pack = order.Promise{Name: "pack", Files: func(p string) bool { return strings.HasSuffix(p, ".pack") }}
	wal  = order.Promise{Name: "wal", Files: func(p string) bool { return p == "s-wal" }, WAL: true}
)

func TestCheckOfNothingFails(t *testing.T) {
	h, err := disk.Build(nil, "/d", "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := order.Check(order.Input{History: h, Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	if r.Err() == nil {
		t.Error("an empty ledger proves nothing")
	}
}
