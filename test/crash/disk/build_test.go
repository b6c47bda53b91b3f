package disk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/crash/trace"
)

func lines(events ...trace.Event) []trace.Event {
	for i := range events {
		events[i].Begin, events[i].End = int64(i+1), int64(i+1)
	}
	return events
}

func open(fd int, path, flags string) trace.Event {
	return trace.Event{Kind: trace.Open, FD: fd, Path: path, Flags: flags}
}

func write(fd int, path, data string, at int64) trace.Event {
	return trace.Event{Kind: trace.Write, FD: fd, Path: path, Data: []byte(data), Offset: at}
}

func TestOffsets(t *testing.T) {
	h, err := Build(lines(
		open(3, "/d/p", "O_RDWR|O_CREAT"),
		write(3, "/d/p", "abc", -1),
		write(3, "/d/p", "zz", 10),
		write(3, "/d/p", "de", -1),
		trace.Event{Kind: trace.Seek, FD: 3, Path: "/d/p", Result: 1},
		write(3, "/d/p", "B", -1),
		open(4, "/d/p", "O_WRONLY|O_APPEND"),
		write(4, "/d/p", "end", -1),
		trace.Event{Kind: trace.Dup, FD: 5, Path: "/d/p", Size: 3},
		write(5, "/d/p", "C", -1),
		write(3, "/d/p", "D", -1),
		write(9, "/elsewhere", "x", -1),
	), "/d", "")
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, op := range h.Ops {
		if op.Kind == Data {
			got = append(got, op.Offset)
		}
	}
	want := []int64{0, 10, 3, 1, 12, 2, 3}
	if len(got) != len(want) {
		t.Fatalf("offsets %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("offsets %v, want %v", got, want)
		}
	}
	if h.Ignored != 1 {
		t.Errorf("ignored %d", h.Ignored)
	}
}

// A file keeps its identity over a rename; a new file of the old name is
// another one, and its sync does not cover the first.
func TestIdentity(t *testing.T) {
	h, err := Build(lines(
		open(3, "/d/p", "O_RDWR|O_CREAT"),                                // 1
		write(3, "/d/p", "abc", -1),                                      // 2
		trace.Event{Kind: trace.Rename, Path: "/d/p", To: "/d/q", FD: 0}, // 3
		open(4, "/d/p", "O_RDWR|O_CREAT"),                                // 4
		trace.Event{Kind: trace.Sync, FD: 4, Path: "/d/p"},               // 5
		trace.Event{Kind: trace.Sync, FD: 3, Path: "/d/q"},               // 6
	), "/d", "")
	if err != nil {
		t.Fatal(err)
	}
	first := h.Ops[0].Node
	if _, ok := h.Covered(first, 2, 6); ok {
		t.Error("the new file's sync covers the old file")
	}
	if end, ok := h.Covered(first, 2, 7); !ok || end != 6 {
		t.Errorf("covered %v by line %d, want 6", ok, end)
	}
	if op, ok := h.Name(first, 10); !ok || op.Kind != Rename || op.Path != "q" {
		t.Errorf("name by %+v", op)
	}
	if op, ok := h.Name(first, 3); !ok || op.Kind != Link || op.Path != "p" {
		t.Errorf("earlier name by %+v", op)
	}
}

func TestInitial(t *testing.T) {
	initial := t.TempDir()
	for name, data := range map[string]string{"p": "old", "s.db-shm": "index"} {
		if err := os.WriteFile(filepath.Join(initial, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, err := Build(lines(open(3, "/d/p", "O_WRONLY|O_APPEND"), write(3, "/d/p", "new", -1)), "/d", initial)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Start) != 1 || len(h.Ops) != 1 || h.Ops[0].Offset != 3 {
		t.Errorf("%+v", h)
	}
	if _, made := h.Name(h.Ops[0].Node, 9); made {
		t.Error("a file that was there was not made in the trace")
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, events := range map[string][]trace.Event{
		"shared mapping":     {{Kind: trace.Opaque, Call: "mmap", FD: 3, Path: "/d/p"}},
		"io_uring":           {{Kind: trace.Opaque, Call: "io_uring_setup"}},
		"unknown file":       {write(3, "/d/p", "x", 0)},
		"unknown position":   {open(3, "/d/p", "O_CREAT"), write(4, "/d/p", "x", -1)},
		"rename into":        {{Kind: trace.Rename, Path: "/tmp/p", To: "/d/p"}},
		"rename out of":      {open(3, "/d/p", "O_CREAT"), {Kind: trace.Rename, Path: "/d/p", To: "/tmp/p"}},
		"exchange":           {open(3, "/d/p", "O_CREAT"), {Kind: trace.Rename, Path: "/d/p", To: "/d/p", Flags: "RENAME_EXCHANGE"}},
		"hole":               {open(3, "/d/p", "O_CREAT"), {Kind: trace.Allocate, FD: 3, Path: "/d/p", Flags: "FALLOC_FL_PUNCH_HOLE"}},
		"unnamed file":       {open(3, "/d", "O_RDWR|O_TMPFILE")},
		"in an unknown dir":  {open(3, "/d/b/p", "O_CREAT")},
		"link from outside":  {{Kind: trace.Link, Path: "/tmp/p", To: "/d/p"}},
		"link to the unseen": {{Kind: trace.Link, Path: "/d/p", To: "/d/q"}},
	} {
		if _, err := Build(lines(events...), "/d", ""); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), "trace line") {
			t.Errorf("%s: no line in %q", name, err)
		}
	}
	// The index of a WAL is a shared mapping, and no promise rests on it.
	if _, err := Build(lines(trace.Event{Kind: trace.Opaque, Call: "mmap", FD: 3, Path: "/d/s.db-shm"}), "/d", ""); err != nil {
		t.Error(err)
	}
}
