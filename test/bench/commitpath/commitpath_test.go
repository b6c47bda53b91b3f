package main

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
)

const testNonce = 42

func testRecord(id, account int64) []byte {
	s := newSession(uint64(id))
	return appendRecord(nil, testNonce, &job{queueID: id, account: account}, s.body, &s.env)
}

func TestRecordRebuildsTheJob(t *testing.T) {
	rec := testRecord(7, 3)
	j, err := parseRecord(append(slices.Clone(rec), "the next record"...), testNonce)
	if err != nil {
		t.Fatal(err)
	}
	if j.queueID != 7 || j.account != 3 || j.size != int64(len(rec)) || len(j.meta) != metaSize {
		t.Errorf("got queue id %d, account %d, size %d, %d bytes of index", j.queueID, j.account, j.size, len(j.meta))
	}
}

func TestRecordDamageIsSeen(t *testing.T) {
	rec := testRecord(7, 3)
	for i := 0; i < len(rec); i += 13 {
		bad := slices.Clone(rec)
		bad[i] ^= 0x10
		if _, err := parseRecord(bad, testNonce); err == nil {
			t.Fatalf("byte %d changed: no error", i)
		}
		if _, err := parseRecord(rec[:i], testNonce); !errors.Is(err, errShort) {
			t.Fatalf("cut at %d: %v, want %v", i, err, errShort)
		}
	}
	if _, err := parseRecord(rec, testNonce+1); !errors.Is(err, errHeader) {
		t.Errorf("record of another pack: %v, want %v", err, errHeader)
	}
}

// Every shape must answer every message once and leave it filed once.
func TestShapesFileEveryMessageOnce(t *testing.T) {
	for _, s := range append(mainShapes(), tuneShapes()[1:]...) {
		t.Run(s.name, func(t *testing.T) {
			p, err := startPipeline(s, t.TempDir()+"/run", 3, 4096)
			if err != nil {
				t.Fatal(err)
			}
			times, err := p.sessions(load{sessions: 4, accounts: 3, each: 5})
			if err != nil {
				t.Fatal(err)
			}
			n := int64(len(times))
			if n != 20 {
				t.Fatalf("%d answers to 20 messages", n)
			}
			if err := p.drain(n); err != nil {
				t.Fatal(err)
			}
			if err := p.check(n); err != nil {
				t.Error(err)
			}
			if err := p.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// crashed makes the state that a power cut leaves: n records in the pack, the first filed ones of them in the mailstore,
// the settled position still at the beginning.
func crashed(t *testing.T, n, filed int, tail []byte) (*sqlite.Conn, string) {
	t.Helper()
	dir := t.TempDir()
	p, err := newPack(dir, testNonce, 0)
	if err != nil {
		t.Fatal(err)
	}
	var jobs []*job
	for i := range n {
		jobs = append(jobs, &job{queueID: int64(i + 1), account: 1, meta: make([]byte, metaSize), record: testRecord(int64(i+1), 1)})
	}
	if err := p.commit(jobs); err != nil {
		t.Fatal(err)
	}
	if _, err := p.f.WriteAt(tail, p.end); err != nil {
		t.Fatal(err)
	}
	if err := p.f.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := openConn(dir, 4096)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := createStore(conn, 1); err != nil {
		t.Fatal(err)
	}
	c := &committer{conn: conn}
	if filed > 0 {
		if err := c.commit(ops(jobs[:filed], journalOp)); err != nil {
			t.Fatal(err)
		}
	}
	return conn, dir
}

func TestReplayIsHarmless(t *testing.T) {
	cut := testRecord(99, 1)
	for _, tt := range []struct {
		name     string
		n, filed int
		tail     []byte
	}{
		{"nothing filed", 5, 0, nil},
		{"some filed, settled position behind", 5, 3, nil},
		{"all filed, settled position behind", 5, 5, nil},
		{"record cut short at the end", 5, 2, cut[:len(cut)/2]},
		{"header cut short at the end", 5, 2, cut[:headerSize-1]},
		{"zeros at the end", 5, 2, make([]byte, 4096)},
		{"lengths arrived, body did not", 5, 2, append(slices.Clone(cut[:headerSize]), make([]byte, len(cut)-headerSize)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, dir := crashed(t, tt.n, tt.filed, tt.tail)
			read, filed, err := replay(conn, dir)
			if err != nil || read != tt.n || filed != tt.n-tt.filed {
				t.Fatalf("read %d, filed %d, %v; want %d, %d", read, filed, err, tt.n, tt.n-tt.filed)
			}
			for _, query := range []string{`SELECT count(*) FROM email`, `SELECT count(DISTINCT uid) FROM entry`, `SELECT count(*) FROM delivered`} {
				if got, _, err := row(conn, query); err != nil || got != int64(tt.n) {
					t.Errorf("%s: %d, %v; want %d", query, got, err, tt.n)
				}
			}
			read, filed, err = replay(conn, dir) // a second start finds nothing to do
			if err != nil || read != 0 || filed != 0 {
				t.Errorf("second replay: read %d, filed %d, %v", read, filed, err)
			}
		})
	}
}

func TestReplayRefusesAShortenedPack(t *testing.T) {
	conn, dir := crashed(t, 2, 0, nil)
	if _, _, err := replay(conn, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(packName(dir), 100); err != nil {
		t.Fatal(err)
	}
	if _, _, err := replay(conn, dir); err == nil {
		t.Error("a pack that ends before the settled position was accepted")
	}
}

func TestProbesThatDiffer(t *testing.T) {
	ms := time.Millisecond
	for _, tt := range []struct {
		a, b     diskProbe
		sessions int
		want     bool
	}{
		{diskProbe{2 * ms, 4 * ms}, diskProbe{3 * ms, 9 * ms}, 1, false},
		{diskProbe{4 * ms, 4 * ms}, diskProbe{2 * ms, 4 * ms}, 1, true},
		{diskProbe{2 * ms, 4 * ms}, diskProbe{9 * ms, 6 * ms}, 50, false},
		{diskProbe{2 * ms, 4 * ms}, diskProbe{2 * ms, 7 * ms}, 50, true},
	} {
		if got := tt.a.differs(tt.b, tt.sessions); got != tt.want {
			t.Errorf("%v against %v at %d sessions: %v, want %v", tt.a, tt.b, tt.sessions, got, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	if m := median([]float64{3, 1, 2}); m != 2 {
		t.Errorf("odd: %v", m)
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("even: %v", m)
	}
}
