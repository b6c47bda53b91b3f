//go:build linux

package gauge

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// userHZ is the unit of times in /proc: 100 on every architecture that Go runs on.
const userHZ = 100

// process is what /proc/PID/stat tells.
type process struct {
	pid, parent int
	started     uint64
	cpu         time.Duration // own, and of the children it has waited for
}

// Tree returns the processes that are, or descend from, one of roots.
func tree(roots []int) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	children := map[int][]process{}
	byID := map[int]process{}
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
		byID[p.pid] = p
	}
	var found []process
	for _, r := range roots {
		if p, ok := byID[r]; ok {
			found = append(found, p)
		}
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found, nil
}

func processes() ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		if p, ok := parseStat(pid, b); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// parseStat reads proc(5)'s stat line; the command's name is in parentheses and may hold anything.
func parseStat(pid int, b []byte) (process, bool) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return process{}, false
	}
	f := strings.Fields(string(b[i+1:])) // f[0] is field 3
	if len(f) < 20 {
		return process{}, false
	}
	parent, err := strconv.Atoi(f[1])
	if err != nil {
		return process{}, false
	}
	p := process{pid: pid, parent: parent}
	var ticks int64
	for _, s := range f[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return process{}, false
		}
		ticks += n
	}
	p.cpu = time.Duration(ticks) * time.Second / userHZ
	p.started, err = strconv.ParseUint(f[19], 10, 64)
	return p, err == nil
}

// CPU returns the CPU time that the trees below roots have used since they began, ended processes included.
func CPU(roots []int) (time.Duration, error) {
	ps, err := tree(roots)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, p := range ps {
		sum += p.cpu
	}
	return sum, nil
}

// Footprint is memory in bytes.
type Footprint struct {
	PSS  int64 `json:"pss_bytes"`       // proportional set size: pages that several processes share count once
	RSS  int64 `json:"rss_bytes"`       // resident set size: they count for each of them
	Anon int64 `json:"anonymous_bytes"` // of PSS: what no file stands behind, such as heaps and stacks
}

// Footprints returns the memory of the trees below roots.
func Footprints(roots []int) (f Footprint, err error) {
	ps, err := tree(roots)
	if err != nil {
		return f, err
	}
	for _, p := range ps {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid)); err == nil { // else it has ended
			f.add(string(b))
		}
	}
	return f, nil
}

func (f *Footprint) add(rollup string) {
	for line := range strings.Lines(rollup) {
		name, rest, _ := strings.Cut(line, ":")
		kb, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, err := strconv.ParseInt(kb, 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "Pss":
			f.PSS += n << 10
		case "Rss":
			f.RSS += n << 10
		case "Pss_Anon":
			f.Anon += n << 10
		}
	}
}

// Memory returns the proportional set size of the trees below roots.
func Memory(roots []int) (int64, error) {
	f, err := Footprints(roots)
	return f.PSS, err
}

// Family names processes so surely that one may be ended later: a process id that was used anew is not mistaken.
type Family []process

// Descendants returns what root has started and what has not ended yet, without root.
func Descendants(root int) (Family, error) {
	ps, err := tree([]int{root})
	if len(ps) > 0 {
		ps = ps[1:]
	}
	return ps, err
}

// Left returns the ids of those that still run.
func (f Family) Left() []int {
	var pids []int
	for _, p := range f {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
		if err != nil {
			continue
		}
		if now, ok := parseStat(p.pid, b); ok && now.started == p.started && !zombie(b) {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

func zombie(stat []byte) bool {
	i := bytes.LastIndexByte(stat, ')')
	return i >= 0 && i+2 < len(stat) && stat[i+2] == 'Z'
}
