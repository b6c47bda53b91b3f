//go:build linux

package gauge

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "4242 (smtpd (x) y) S 17 4242 4242 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 1 0 987654 1 2 3"
	p, ok := parseStat(4242, []byte(line))
	if !ok || p.parent != 17 || p.cpu != 2500*time.Millisecond || p.started != 987654 {
		t.Errorf("%v %+v", ok, p)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1", "1 (x) S one 1 1 0 -1 1 1 2 3 4 150 50 30 20 20 0 1 0 987654"} {
		if _, ok := parseStat(1, []byte(bad)); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestParseBusyLeavesOutIdleAndDiskWait(t *testing.T) {
	got, err := parseBusy("cpu  100 1 50 9999 8888 2 3 4 0 0\ncpu0 1 2 3\n")
	if err != nil || got != 1600*time.Millisecond {
		t.Errorf("%v %v", got, err)
	}
	if _, err := parseBusy("intr 1 2 3"); err == nil {
		t.Error("no error")
	}
}

func TestParseSummary(t *testing.T) {
	const table = "syscall              calls\n---------------- ---------\nfdatasync              200\nfsync                   12\nopenat 7\n---------------- ---------\ntotal                  212\n"
	got := parseSummary(table)
	if len(got) != 2 || got["fdatasync"] != 200 || got["fsync"] != 12 {
		t.Errorf("%v", got)
	}
}

// A child's CPU time must count while it runs and after it has ended.
func TestTreeFollowsChildren(t *testing.T) {
	me := []int{os.Getpid()}
	before, err := CPU(me)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", "-c", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; echo; read x")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 1)) // the loop is over
	family, err := Descendants(os.Getpid())
	if err != nil || !slices.Contains(family.Left(), c.Process.Pid) {
		t.Errorf("%v: %v lacks %d", err, family.Left(), c.Process.Pid)
	}
	running, _ := CPU(me)
	if m, err := Memory([]int{c.Process.Pid}); err != nil || m <= 0 {
		t.Errorf("memory %d, %v", m, err)
	}
	in.Close()
	c.Wait()
	if left := family.Left(); slices.Contains(left, c.Process.Pid) {
		t.Errorf("ended, and still in %v", left)
	}
	ended, _ := CPU(me)
	if running <= before || ended < running {
		t.Errorf("CPU %v before, %v while it ran, %v after", before, running, ended)
	}
}

func TestProbeLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	p, err := ProbeDisk(dir, 1000, 3)
	if err != nil || p.P50 <= 0 || p.P99 < p.P50 {
		t.Errorf("%+v %v", p, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v was left", left)
	}
	if r := (Probe{P50: 3}).Ratio(Probe{P50: 2}); r != 1.5 {
		t.Errorf("ratio %v", r)
	}
}
