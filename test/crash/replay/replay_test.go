package replay

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/postrider/postrider/test/crash/disk"
	"github.com/postrider/postrider/test/crash/trace"
)

const seeds = 60

// build numbers the events and makes their history.
func build(t *testing.T, initial string, events ...trace.Event) *disk.History {
	t.Helper()
	for i := range events {
		events[i].Begin, events[i].End = int64(i+1), int64(i+1)
	}
	h, err := disk.Build(events, "/d", initial)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// outcomes cuts at one instant with many seeds and counts what became of a
// file: its content, or "-" if it is not there.
func outcomes(t *testing.T, h *disk.History, initial string, instant int64, name string) map[string]int {
	t.Helper()
	got, dir := map[string]int{}, t.TempDir()
	for seed := range uint64(seeds) {
		out := filepath.Join(dir, strconv.FormatUint(seed, 10))
		if err := Replay(h, initial, Cut{instant, seed}, out); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(out, name))
		switch {
		case os.IsNotExist(err):
			got["-"]++
		case err != nil:
			t.Fatal(err)
		default:
			got[string(b)]++
		}
	}
	return got
}

func open(path string) trace.Event {
	return trace.Event{Kind: trace.Open, FD: 3, Path: "/d/" + path, Flags: "O_RDWR|O_CREAT"}
}

func write(path, data string, at int64) trace.Event {
	return trace.Event{Kind: trace.Write, FD: 3, Path: "/d/" + path, Data: []byte(data), Offset: at}
}

func sync(path string) trace.Event { return trace.Event{Kind: trace.Sync, FD: 3, Path: "/d" + path} }

func TestSyncedIsThere(t *testing.T) {
	h := build(t, "", open("p"), sync(""), write("p", "mail", 0), sync("/p"), write("p", "more", 4))
	if got := outcomes(t, h, "", 5, "p"); len(got) != 1 || got["mail"] == 0 {
		t.Errorf("after the sync: %v", got)
	}
	if got := outcomes(t, h, "", 4, "p"); len(got) < 2 || got["mail"] == 0 {
		t.Errorf("before the sync the bytes must be there at times and at times not: %v", got)
	}
	got := outcomes(t, h, "", 6, "p")
	for content := range got {
		if content != "mail" && content != "mailmore" && content != "mail\x00\x00\x00\x00" {
			t.Errorf("impossible: %q", content)
		}
	}
	if got["mail"] == 0 || got["mailmore"] == 0 {
		t.Errorf("the unsynced append must be there at times and at times not: %v", got)
	}
}

func TestEntryNeedsItsDirectory(t *testing.T) {
	h := build(t, "", open("p"), write("p", "mail", 0), sync("/p"))
	if got := outcomes(t, h, "", 9, "p"); got["-"] == 0 || got["mail"] == 0 || len(got) != 2 {
		t.Errorf("%v", got)
	}
}

func TestFailedSyncCoversNothing(t *testing.T) {
	bad := sync("/p")
	bad.Err = "EIO"
	h := build(t, "", open("p"), sync(""), write("p", "mail", 0), bad, sync("/p"))
	if got := outcomes(t, h, "", 9, "p"); got[""] == 0 {
		t.Errorf("the bytes before a failed sync must be lost at times: %v", got)
	}
}

// Of an unsynced write each sector may be there or not, never a part of one.
func TestTornAtSectors(t *testing.T) {
	initial := t.TempDir()
	old := bytes.Repeat([]byte("o"), 3*Sector)
	if err := os.WriteFile(filepath.Join(initial, "p"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	h := build(t, initial, open("p"), write("p", string(bytes.Repeat([]byte("n"), 3*Sector)), 0))
	got := outcomes(t, h, initial, 9, "p")
	torn := 0
	for content := range got {
		if len(content) != 3*Sector {
			t.Fatalf("%d bytes", len(content))
		}
		for s := 0; s < 3; s++ {
			sector := content[s*Sector : (s+1)*Sector]
			if sector != string(bytes.Repeat([]byte{sector[0]}, Sector)) {
				t.Fatal("a sector is torn")
			}
		}
		if content[0] != content[Sector] || content[0] != content[2*Sector] {
			torn++
		}
	}
	if torn < 3 {
		t.Errorf("only %d torn outcomes of %d", torn, len(got))
	}
}

// A sector that was written twice is in one of its three states, never in the
// second without the first where both wrote.
func TestSectorsKeepTheirOrder(t *testing.T) {
	h := build(t, "", open("p"), sync(""), write("p", "1111", 0), write("p", "22", 0))
	for content := range outcomes(t, h, "", 9, "p") {
		switch content {
		case "", "1111", "2211", "\x00\x00\x00\x00", "22", "\x00\x00":
		default:
			t.Errorf("impossible: %q", content)
		}
	}
}

func TestRenameIsOneStep(t *testing.T) {
	h := build(t, "", open("tmp"), write("tmp", "mail", 0), sync("/tmp"), sync(""),
		trace.Event{Kind: trace.Rename, Path: "/d/tmp", To: "/d/new"})
	a, b := outcomes(t, h, "", 9, "tmp"), outcomes(t, h, "", 9, "new")
	if a["mail"]+b["mail"] != seeds || a["mail"] == 0 || b["mail"] == 0 {
		t.Errorf("old name %v, new name %v", a, b)
	}
}

func TestUnlinkNeedsItsDirectory(t *testing.T) {
	h := build(t, "", open("p"), sync(""), trace.Event{Kind: trace.Unlink, Path: "/d/p"})
	if got := outcomes(t, h, "", 9, "p"); got["-"] == 0 || got[""] == 0 {
		t.Errorf("%v", got)
	}
}

func TestTruncateNeedsItsSync(t *testing.T) {
	cut := trace.Event{Kind: trace.Truncate, FD: 3, Path: "/d/p", Size: 2}
	h := build(t, "", open("p"), sync(""), write("p", "mail", 0), sync("/p"), cut, sync("/p"))
	if got := outcomes(t, h, "", 6, "p"); got["mail"] == 0 || got["ma"] == 0 || len(got) != 2 {
		t.Errorf("before the sync: %v", got)
	}
	if got := outcomes(t, h, "", 9, "p"); got["ma"] != seeds {
		t.Errorf("after the sync: %v", got)
	}
}

// A call in flight at the instant counts as begun: its sync proves nothing yet.
func TestInFlight(t *testing.T) {
	events := []trace.Event{open("p"), sync(""), write("p", "mail", 0), sync("/p")}
	for i, lines := range [][2]int64{{1, 1}, {2, 2}, {3, 3}, {4, 8}} {
		events[i].Begin, events[i].End = lines[0], lines[1]
	}
	h, err := disk.Build(events, "/d", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(t, h, "", 8, "p"); got[""] == 0 {
		t.Errorf("the sync had not returned: %v", got)
	}
	if got := outcomes(t, h, "", 9, "p"); got["mail"] != seeds {
		t.Errorf("the sync had returned: %v", got)
	}
}

func TestSeedDecidesAll(t *testing.T) {
	h := build(t, "", open("p"), write("p", string(make([]byte, 9000)), 0), open("q"), write("q", "x", 5000))
	if a, b := outcomes(t, h, "", 9, "p"), outcomes(t, h, "", 9, "p"); len(a) != len(b) || a["-"] != b["-"] {
		t.Errorf("%d and %d outcomes", len(a), len(b))
	}
}

func TestInstantsAndOwed(t *testing.T) {
	h := build(t, "", open("p"), sync(""), write("p", "mail", 0), sync("/p"))
	acks := []int64{7, -1, 3}
	got := Instants(h, acks, 20, 1)
	if len(got) != 20 || got[19] != 8 {
		t.Fatalf("%v", got)
	}
	for i, at := range got {
		if at < 2 || at > 8 || i > 0 && at < got[i-1] {
			t.Fatalf("%v", got)
		}
	}
	if owed := Owed(acks, 7); len(owed) != 1 || owed[0] != 2 {
		t.Errorf("owed at 7: %v", owed)
	}
	if owed := Owed(acks, 8); len(owed) != 2 {
		t.Errorf("owed at 8: %v", owed)
	}
}
