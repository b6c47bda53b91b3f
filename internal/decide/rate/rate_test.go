package rate

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func site(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

// TestTake: as many as the limit says in any window, and who goes on trying gets that rate, not nothing.
func TestTake(t *testing.T) {
	table, k, l := NewTable(1000), Key{Measure: "messages", Site: site(1)}, Limit{10, time.Minute}
	got := map[int]int{} // by minute
	for s := range 600 { // ten minutes, one each second
		now := noon.Add(time.Duration(s) * time.Second)
		fits := table.Fits(k, 1, l, now)
		if took := table.Take(k, 1, l, now); took != fits {
			t.Fatalf("after %d s: Fits %v, Take %v", s, fits, took)
		} else if took {
			got[s/60]++
		}
	}
	for minute := range 10 {
		if got[minute] < 8 || got[minute] > 11 {
			t.Errorf("minute %d: %d taken of 60, limit 10", minute, got[minute])
		}
	}
	for _, c := range []struct {
		name string
		k    Key
		n    int64
		l    Limit
		want bool
	}{
		{"no limit", k, 1 << 40, Limit{0, time.Minute}, true},
		{"another", Key{Measure: "messages", Site: site(2)}, 10, l, true},
		{"another measure", Key{Measure: "recipients", Site: site(1)}, 10, l, true},
		{"more than there ever are", Key{Measure: "bytes", Site: site(1)}, 11, l, false},
	} {
		if got := table.Take(c.k, c.n, c.l, noon); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestWindow(t *testing.T) {
	at := func(d time.Duration) int64 { return noon.Add(d).UnixNano() }
	var w Window
	w.Add(10, time.Hour, at(0))
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{{0, 10}, {59 * time.Minute, 10}, {90 * time.Minute, 5}, {119 * time.Minute, 1}, {2 * time.Hour, 0}} {
		v := w
		if got := v.Used(time.Hour, at(c.after)); got != c.want {
			t.Errorf("after %v: %d, want %d", c.after, got, c.want)
		}
	}
	w.Add(-3, time.Hour, at(time.Minute))
	w.Add(-300, time.Hour, at(61*time.Minute))
	if got := w.Used(time.Hour, at(61*time.Minute)); got != 7 {
		t.Errorf("taken back: %d", got)
	}
	w = Window{}
	w.Add(5, time.Hour, at(time.Hour))
	if got := w.Used(time.Hour, at(0)); got != 5 {
		t.Errorf("after the clock was put back: %d", got)
	}
}

// TestFloodForgetsNobodyHeavy: a botnet that fills the table displaces its own, not who has used up a limit; and the memory
// is bounded.
func TestFloodForgetsNobodyHeavy(t *testing.T) {
	const most = 4096
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table, l := NewTable(most), Limit{10, time.Minute}
	heavy := Key{Measure: "messages", Site: netip.MustParsePrefix("192.0.2.0/24")}
	for range 10 {
		table.Take(heavy, 1, l, noon)
	}
	for i := range 200_000 {
		table.Take(Key{Measure: "messages", Site: site(i)}, 1, l, noon.Add(time.Duration(i)*100*time.Microsecond))
	}
	now := noon.Add(20 * time.Second)
	if table.Take(heavy, 1, l, now) {
		t.Error("the heavy one was forgotten")
	}
	if n := table.Len(); n > most {
		t.Errorf("%d keys, at most %d", n, most)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > most*512 {
		t.Errorf("%d bytes for %d keys", grown, most)
	}
	if list := table.Usages(now); list[0].Key != heavy || list[0].Used != 10 {
		t.Errorf("the fullest: %+v", list[0])
	}
	// What is over makes room without being asked.
	later := now.Add(time.Hour)
	for i := range 2 * most {
		table.Take(Key{Measure: "messages", Site: site(i)}, 1, l, later.Add(time.Duration(i)*time.Minute))
	}
	if n := table.Len(); n > 200 {
		t.Errorf("%d keys are kept of which only some count", n)
	}
	runtime.KeepAlive(table)
}

func TestRestore(t *testing.T) {
	l, k := Limit{10, time.Hour}, Key{Measure: "account", Name: "7"}
	old := NewTable(100)
	old.Add(k, 9, l, noon)
	next := NewTable(100)
	for _, u := range old.Usages(noon) {
		next.Restore(u.Key, u.Window, l, noon.Add(time.Minute))
	}
	next.Restore(Key{Measure: "account", Name: "8"}, Window{Started: noon.UnixNano(), Now: -1}, l, noon)
	if !next.Take(k, 1, l, noon.Add(time.Minute)) || next.Take(k, 1, l, noon.Add(time.Minute)) || next.Len() != 1 {
		t.Error(next.Usages(noon))
	}
}

func TestPoolKeepsItsIndex(t *testing.T) {
	p := NewPool[int](50, func(v *int, _ int64) int64 { return int64(*v) })
	for i := range 1000 {
		*p.Make(i%77, 0) = i % 5
		if i%7 == 0 {
			p.Drop(i % 50)
		}
		if p.Len() > 50 || p.Len() != len(p.index) {
			t.Fatal(p.Len(), len(p.index))
		}
		for k, at := range p.index {
			if p.slots[at].key != k {
				t.Fatal(fmt.Sprint("slot ", at, " is not ", k))
			}
		}
	}
}

func BenchmarkTake(b *testing.B) {
	table, l := NewTable(65536), Limit{1 << 60, time.Minute}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		table.Take(Key{Measure: "messages", Site: site(i & 0xffff)}, 1, l, noon)
	}
}
