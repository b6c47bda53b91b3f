package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// TestContract runs the same operations on every implementation.
func TestContract(t *testing.T) {
	for name, fsys := range map[string]FS{"os": OS{}, "mem": NewMem(), "volatile": NewVolatile(), "faulty": NewFaulty(NewMem(), nil)} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.ToSlash(t.TempDir()) + "/a/b"
			must(t, fsys.MkdirAll(dir))
			must(t, fsys.MkdirAll(dir))
			f, err := fsys.Create(dir + "/one")
			must(t, err)
			if _, err := fsys.Create(dir + "/one"); !errors.Is(err, fs.ErrExist) {
				t.Fatalf("second create: %v", err)
			}
			if _, err := fsys.Open(dir + "/none"); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("open of nothing: %v", err)
			}
			var pieces [][]byte
			var want []byte
			for i := range 3000 { // more than IOV_MAX
				p := bytes.Repeat([]byte{byte(i)}, i%7)
				pieces, want = append(pieces, p), append(want, p...)
			}
			n, err := f.WriteVecAt(pieces, 10)
			must(t, err)
			if n != int64(len(want)) {
				t.Fatalf("wrote %d of %d", n, len(want))
			}
			_, err = f.WriteAt([]byte("0123456789"), 0)
			must(t, err)
			must(t, f.Datasync())
			must(t, fsys.SyncDir(dir))
			must(t, fsys.Rename(dir+"/one", dir+"/two"))
			r, err := fsys.Open(dir + "/two")
			must(t, err)
			got := make([]byte, len(want))
			_, err = r.ReadAt(got, 10)
			if (err != nil && err != io.EOF) || !bytes.Equal(got, want) {
				t.Fatalf("read back: %v", err)
			}
			if _, err := r.WriteAt([]byte("x"), 0); err == nil {
				t.Fatal("wrote through a file opened for reading")
			}
			must(t, f.Truncate(4))
			if n, err := r.ReadAt(got[:8], 0); n != 4 || err != io.EOF || string(got[:4]) != "0123" {
				t.Fatalf("after truncate: %d %v %q", n, err, got[:4])
			}
			if n, err := fsys.Size(dir + "/two"); n != 4 || err != nil {
				t.Fatalf("size %d %v", n, err)
			}
			must(t, f.Truncate(6))
			if n, _ := f.Size(); n != 6 {
				t.Fatalf("size %d", n)
			}
			if _, err := r.ReadAt(got[:6], 0); (err != nil && err != io.EOF) || string(got[:6]) != "0123\x00\x00" {
				t.Fatalf("grown: %q %v", got[:6], err)
			}
			if names, err := fsys.ReadDir(dir); err != nil || !slices.Equal(names, []string{"two"}) {
				t.Fatalf("%v %v", names, err)
			}
			must(t, fsys.Remove(dir+"/two"))
			if _, err := fsys.Size(dir + "/two"); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("removed and there: %v", err)
			}
			must(t, errors.Join(f.Close(), r.Close()))
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCrashKeepsWhatWasSynced: synced bytes under a synced name always survive; whatever else is there is made of sectors
// that were written.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	lostName, tornWrite, keptAll := false, false, false
	for seed := range uint64(200) {
		m := NewMem()
		f, _ := m.Create("kept")
		synced := bytes.Repeat([]byte{'s'}, 1300)
		_, _ = f.WriteAt(synced, 0)
		must(t, f.Datasync())
		must(t, m.SyncDir(""))
		rest := bytes.Repeat([]byte{'u'}, 5000)
		_, _ = f.WriteAt(rest, 1300)
		g, _ := m.Create("new")
		_, _ = g.WriteAt(synced, 0)
		must(t, g.Datasync()) // contents, but not the name

		c := m.Crash(seed)
		h, err := c.Open("kept")
		must(t, err)
		got := make([]byte, 6300)
		n, _ := h.ReadAt(got, 0)
		if n < 1300 || !bytes.Equal(got[:1300], synced) {
			t.Fatalf("seed %d: synced bytes lost", seed)
		}
		for i := 1300; i < n; i++ {
			first := i == 1300 || i%sectorSize == 0
			if got[i] != 'u' && got[i] != 0 || !first && got[i] != got[i-1] {
				t.Fatalf("seed %d: byte %d is %q: no tear inside a sector", seed, i, got[i])
			}
		}
		tornWrite = tornWrite || bytes.IndexByte(got[1300:n], 0) >= 0
		keptAll = keptAll || n == 6300 && bytes.Equal(got[1300:], rest)
		if _, err := c.Size("new"); err != nil {
			lostName = true
		}
		again, _ := m.Crash(seed).Open("kept")
		got2 := make([]byte, 6300)
		if n2, _ := again.ReadAt(got2, 0); n2 != n || !bytes.Equal(got, got2) {
			t.Fatal("the same seed gives another disk")
		}
	}
	if !lostName || !tornWrite || !keptAll {
		t.Fatalf("too kind: lost a name %v, tore a write %v, kept all %v", lostName, tornWrite, keptAll)
	}
}

// TestCrashAfterSyncOfAll: with everything synced a crash changes nothing, whatever came before.
func TestCrashAfterSyncOfAll(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := NewMem()
	must(t, m.MkdirAll("d"))
	f, _ := m.Create("d/f")
	for range 200 {
		switch r.IntN(4) {
		case 0:
			must(t, f.Truncate(int64(r.IntN(5000))))
		default:
			b := make([]byte, r.IntN(2000))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			_, _ = f.WriteAt(b, int64(r.IntN(5000)))
		}
	}
	must(t, errors.Join(f.Datasync(), m.SyncDir("d"), m.SyncDir("")))
	size, _ := f.Size()
	want, got := make([]byte, size), make([]byte, size)
	_, _ = f.ReadAt(want, 0)
	g, err := m.Crash(7).Open("d/f")
	must(t, err)
	if n, _ := g.ReadAt(got, 0); int64(n) != size || !bytes.Equal(want, got) {
		t.Fatal("synced contents changed")
	}
}

func TestFaultyFailsTheChosenOperation(t *testing.T) {
	f := NewFaulty(NewMem(), FailAt(1, syscall.ENOSPC))
	file, err := f.Create("x")
	must(t, err)
	n, err := file.WriteVecAt([][]byte{[]byte("abcd"), []byte("efgh")}, 0)
	if n != 4 || !errors.Is(err, syscall.ENOSPC) || Classify(err) != Temporary {
		t.Fatalf("%d %v", n, err)
	}
	if n, err := file.WriteAt([]byte("abcd"), 0); n != 4 || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	f.SetPlan(FailFrom(f.Count(), syscall.EIO))
	if err := file.Datasync(); Classify(err) != Fatal {
		t.Fatal(err)
	}
	if err := f.SyncDir(""); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
}

func TestClassify(t *testing.T) {
	for err, want := range map[error]Class{
		nil: None, syscall.ENOSPC: Temporary, syscall.EDQUOT: Temporary, syscall.EROFS: Temporary,
		syscall.EIO: Fatal, io.ErrShortWrite: Fatal, pathError("write", "x", syscall.ENOSPC): Temporary,
	} {
		if got := Classify(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
