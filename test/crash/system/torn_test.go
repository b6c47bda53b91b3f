package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/test/crash/replay"
	"github.com/postrider/postrider/test/needs"
)

// tail is the part of a pack that was written and never synced.
type tail struct {
	pack     string // relative to the data directory
	from, to int
}

// TestTornRecord: a group of the journal was written and its sync never returned. However much of it the disk has (cut at
// each sector and anywhere between, bits of it flipped), everything acknowledged before is there at the next start, and the
// message in the torn part once and whole, or not at all.
func TestTornRecord(t *testing.T) {
	needs.Quick(t, "strace")
	needs.Program(t, "strace")
	// Without zeros written ahead: their syncs, each of which hangs below, would come before the record's.
	s := Server{Bin: build(t, ""), Dir: filepath.Join(t.TempDir(), "data"), Accounts: accounts, Fill: -1}
	p := started(t, s)
	var acked []string
	for i := range 4 {
		token := fmt.Sprintf("synced-%d-end", i)
		if err := sendOne(p, token); err != nil {
			t.Fatal(err)
		}
		acked = append(acked, token)
	}
	if err := p.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop, err := Inject(p, "pwrite64", "error=ENOSPC", filepath.Join(s.Dir, "store.db-wal")) // what is acknowledged now stays in the journal
	if err != nil {
		t.Fatal(err)
	}
	if err := sendOne(p, "journal-0-end"); err != nil {
		t.Fatal(err)
	}
	acked = append(acked, "journal-0-end")
	stop()
	hang, err := Inject(p, "fdatasync", "delay_enter=5000000") // 5 s: the server does not live to see it
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sendOne(p, "torn-record-end") }()
	pack, from, to := written(t, p, s.Dir, "torn-record-end")
	p.Kill()
	hang()
	if err := <-sent; err == nil {
		t.Fatal("it was acknowledged without a sync")
	}
	torn(t, s, acked, tail{pack, from, to})
}

// written waits until a message's record is in a pack, and tells where.
func written(t *testing.T, p *Process, dir, token string) (pack string, from, to int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, name := range packsThere(dir) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			at := bytes.Index(b, []byte(tokenField+token))
			if at < 0 {
				continue
			}
			if foot := bytes.LastIndex(b, []byte("PEnd")); foot > at { // docs/format.md: the footer is 32 bytes, a header 64
				return filepath.Base(name), at - 64, foot + 32
			}
		}
	}
	t.Fatalf("%s is written into no pack; the server's log: %s", token, p.Log())
	return "", 0, 0
}

// damage is one thing that may have become of a tail.
type damage struct {
	name string
	do   func(pack []byte) []byte
}

// damages are cuts at each sector, the rest missing or zeros; cuts anywhere; single sectors missing; bits flipped.
func (l tail) damages(r *rand.Rand) (list []damage) {
	cut := func(at int, zeros bool) damage {
		return damage{fmt.Sprintf("cut at %d of %d–%d, zeros %t", at, l.from, l.to, zeros), func(b []byte) []byte {
			if !zeros {
				return b[:at]
			}
			clear(b[at:])
			return b
		}}
	}
	var sectors []int
	for at := l.from/replay.Sector*replay.Sector + replay.Sector; at < l.to; at += replay.Sector {
		sectors = append(sectors, at)
	}
	for i, at := range sectors {
		list = append(list, cut(at, i%2 == 0), damage{fmt.Sprintf("sector at %d missing", at), func(b []byte) []byte {
			clear(b[at:min(at+replay.Sector, l.to)])
			return b
		}})
	}
	for i := range sectors {
		at, bit := l.from+r.IntN(l.to-l.from), r.IntN(8)
		list = append(list, cut(l.from+r.IntN(l.to-l.from), i%2 == 1), damage{fmt.Sprintf("bit %d of %d flipped", bit, at), func(b []byte) []byte {
			b[at] ^= 1 << bit
			return b
		}})
	}
	return append(list, cut(l.from, true), cut(l.from, false), damage{"nothing missing", func(b []byte) []byte { return b }})
}

// torn starts the server on copies of its directory with the tail damaged in each way (CRASH_TORN of them, picked at random).
func torn(t *testing.T, s Server, acked []string, l tail) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	list := l.damages(r)
	all := len(list)
	r.Shuffle(all, func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = list[:min(all, needs.Count(t, "CRASH_TORN", 20))]
	whole := 0
	for _, d := range list {
		c := s
		c.Dir = filepath.Join(t.TempDir(), "data")
		err := errors.Join(os.RemoveAll(filepath.Join(s.Dir, "run")), os.CopyFS(c.Dir, os.DirFS(s.Dir)))
		name := filepath.Join(c.Dir, "packs", l.pack)
		b, rerr := os.ReadFile(name)
		if err := errors.Join(err, rerr); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, d.do(b), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := Recover(t.Context(), c)
		if err != nil {
			t.Errorf("seed %d, %s: %v", seed, d.name, err)
			continue
		}
		owed(t, found, acked)
		if slices.ContainsFunc(found, func(f Found) bool { return f.Token == "torn-record-end" && f.Err == nil }) {
			whole++
		}
		if err := os.RemoveAll(c.Dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("tail of %d bytes: %d of %d damages tried, after %d the message was there", l.to-l.from, len(list), all, whole)
}

func shortly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 10*time.Second)
}
