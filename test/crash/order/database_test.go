package order

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/crash/disk"
	"github.com/postrider/postrider/test/crash/trace"
)

// page is the content of page 2 in its nth state.
func page(n byte) []byte { return bytes.Repeat([]byte{n}, defaultPage) }

// commitFrame is page 2 as a transaction of its own, in a database of two pages.
func commitFrame(n byte) []byte {
	head := make([]byte, frameHeader)
	binary.BigEndian.PutUint32(head, 2)
	binary.BigEndian.PutUint32(head[4:], 2)
	return append(head, page(n)...)
}

func TestDatabase(t *testing.T) {
	put := func(file string, at int64, b []byte) trace.Event {
		return trace.Event{Kind: trace.Write, FD: map[string]int{"s.db": 3, "s.db-wal": 4}[file], Path: "/d/" + file, Data: b, Offset: at}
	}
	sync := func(file string) trace.Event { return trace.Event{Kind: trace.Sync, FD: 3, Path: "/d/" + file} }
	header := put("s.db-wal", 0, append(make([]byte, 8), append([]byte{0, 0, 16, 0}, make([]byte, 20)...)...))
	for _, c := range []struct {
		name  string
		want  string // part of the violation; "": none
		calls []trace.Event
	}{
		{"as SQLite does it", "", []trace.Event{header, put("s.db-wal", 32, commitFrame(1)), sync("s.db-wal"), put("s.db", defaultPage, page(1)), sync("s.db"),
			header, put("s.db-wal", 32, commitFrame(2)), sync("s.db-wal")}},
		{"in place before the log is synced", "before it was synced in the log", []trace.Event{header, put("s.db-wal", 32, commitFrame(1)),
			put("s.db", defaultPage, page(1)), sync("s.db-wal"), sync("s.db")}},
		{"in place what was never in the log", "before it was synced in the log", []trace.Event{header, put("s.db-wal", 32, commitFrame(1)), sync("s.db-wal"),
			put("s.db", defaultPage, page(9)), sync("s.db")}},
		{"the log starts over before the database is synced", "is given up", []trace.Event{header, put("s.db-wal", 32, commitFrame(1)), sync("s.db-wal"),
			put("s.db", defaultPage, page(1)), header}},
		{"the log starts over with a page left out", "is given up", []trace.Event{header, put("s.db-wal", 32, commitFrame(1)), sync("s.db-wal"), header}},
		{"the log is cut with an old state in place", "is given up", []trace.Event{header, put("s.db-wal", 32, commitFrame(1)),
			put("s.db-wal", 32+frameHeader+defaultPage, commitFrame(2)), sync("s.db-wal"), put("s.db", defaultPage, page(1)), sync("s.db"),
			{Kind: trace.Truncate, FD: 4, Path: "/d/s.db-wal", Size: 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			events := append([]trace.Event{{Kind: trace.Open, FD: 3, Path: "/d/s.db", Flags: "O_RDWR|O_CREAT"},
				{Kind: trace.Open, FD: 4, Path: "/d/s.db-wal", Flags: "O_RDWR|O_CREAT"}}, c.calls...)
			for i := range events {
				events[i].Begin, events[i].End = int64(i+1), int64(i+1)
			}
			h, err := disk.Build(events, "/d", "")
			if err != nil {
				t.Fatal(err)
			}
			var last []byte
			report, err := Database(h, "s.db", nil, func(c Commit) error {
				last = c.Image()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			switch err := report.Err(); {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("found: %v, want %q", err, c.want)
			}
			if len(last) != 2*defaultPage || c.want == "" && !bytes.Equal(last[defaultPage:], page(2)) {
				t.Errorf("image of %d bytes: % x…", len(last), last[len(last)-8:])
			}
		})
	}
}
