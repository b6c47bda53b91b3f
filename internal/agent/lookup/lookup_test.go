package lookup

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/table"
)

type bench struct {
	*Opener
	dir string
	now time.Time
	log strings.Builder
}

func newBench(t *testing.T) *bench {
	b := &bench{dir: t.TempDir(), now: time.Unix(1_000_000, 0)}
	b.Opener = &Opener{Dir: b.dir, Now: func() time.Time { return b.now }, Intn: func(int) int { return 0 },
		Log: slog.New(slog.NewTextHandler(&b.log, nil))}
	return b
}

// write makes the file and dates it by the bench's clock.
func (b *bench) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, b.now, b.now); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, of table.List, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		got, found, err := of.Lookup(context.Background(), pairs[i], false)
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			got = "-"
		}
		if got != pairs[i+1] {
			t.Errorf("%q: got %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

func TestNames(t *testing.T) {
	b := newBench(t)
	b.write(t, "virtual", "a@example.org joe\nx\n")
	b.write(t, "rules", "/^b(.)/ <$1>\n")
	b.write(t, "nets", "192.0.2.0/24 net\n")
	all, err := b.List("hash:virtual, pcre:" + b.dir + "/rules regexp:rules\ncidr:nets inline:{k=v, {l = v w}} unionmap:{inline:{m=1},static:{2 3}}")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, all, "A@example.org", "joe", "bc", "<c>", "192.0.2.9", "net", "k", "v", "l", "v w", "m", "1,2 3", "none", "2 3")
	if !strings.Contains(b.log.String(), "line=2") {
		t.Errorf("a line that cannot be used is not in the log: %s", &b.log)
	}
	again, err := b.List("hash:virtual")
	if err != nil || again[0] != all[0] {
		t.Errorf("the same table was opened twice: %v", err)
	}
	piped, err := b.List("pipemap:{inline:{a=b},inline:{b=c}} randmap:{x,{y z}}")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, piped, "a", "c", "q", "x")
}

func TestAliases(t *testing.T) {
	b := newBench(t)
	b.write(t, "aliases", "root: joe,\n  \"|prog\"\n")
	all, err := b.Aliases("hash:aliases inline:{bob=x}")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, all, "Root", `joe, "|prog"`, "bob", "x", "root:", "-")
	plain, err := b.List("hash:aliases")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, plain, "root:", `joe,  "|prog"`, "root", "-")
}

func TestRefusedNames(t *testing.T) {
	b := newBench(t)
	b.write(t, "old.db", "\x00\x00binary")
	for name, want := range map[string]string{
		"/etc/virtual": "expected is type:name", "foo:bar": `unknown type "foo"`, "hash:": "the path of the file is missing", "hash:none": "no such file",
		"hash:old": "old.db is there, but the text is what is read", "hash:old.db": "is no text", "hash:.": "is no regular file", "inline:x": "expected is a list in braces",
		"unionmap:{": "not closed", "unionmap:{}": "is empty", "pipemap:{hash:none}": "no such file", "hash:a}": "braces do not match",
		strings.Repeat("static:a ", 101): "more than 100",
	} {
		_, err := b.List(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	failing, err := b.List("fail:x")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := failing.Lookup(context.Background(), "k", false); err == nil {
		t.Error("fail: did not fail")
	}
}

// A file in the middle of being written is not read; one that has been left alone is; one that has gone stays as it was.
func TestChangedFile(t *testing.T) {
	b := newBench(t)
	b.write(t, "map", "a 1\nb 2\n")
	all, err := b.List("texthash:map")
	if err != nil {
		t.Fatal(err)
	}
	step := func() { b.now = b.now.Add(interval) }
	step()
	expect(t, all, "b", "2")
	b.write(t, "map", "a 9\n") // an editor is not done
	expect(t, all, "b", "2")
	step()
	expect(t, all, "b", "2", "a", "1")
	b.write(t, "map", "a 9\nb 8\n")
	step()
	expect(t, all, "b", "2", "a", "1")
	step()
	expect(t, all, "b", "8", "a", "9")
	if err := os.Remove(filepath.Join(b.dir, "map")); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		step()
		expect(t, all, "b", "8")
	}
	if n := strings.Count(b.log.String(), "stays as it was"); n != 1 {
		t.Errorf("a file that has gone is told %d times: %s", n, &b.log)
	}
	b.write(t, "map", "b 7\n")
	step()
	expect(t, all, "b", "8")
	step()
	expect(t, all, "b", "7")
}

// Nobody asked for an hour, and the file was changed meanwhile: the first question has the new text.
func TestFileChangedWhileNobodyAsked(t *testing.T) {
	b := newBench(t)
	b.write(t, "map", "a 1\n")
	all, err := b.List("texthash:map")
	if err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(time.Hour)
	b.write(t, "map", "a 22\n")
	b.now = b.now.Add(2 * interval)
	expect(t, all, "a", "22")
}

func TestManyReaders(t *testing.T) {
	b := newBench(t)
	b.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	var mu sync.Mutex
	b.Now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		b.now = b.now.Add(100 * time.Millisecond)
		return b.now
	}
	b.write(t, "map", "a 1\n")
	all, err := b.List("hash:map")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if v, _, err := all.Lookup(context.Background(), "a", false); v == "" || err != nil {
					t.Errorf("%q, %v", v, err)
				}
			}
		})
	}
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(b.dir, "next"), []byte("a "+strings.Repeat("2", i+1)+"\n"), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(filepath.Join(b.dir, "next"), filepath.Join(b.dir, "map")); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}
