//go:build linux

package gauge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Busy returns the CPU time that the whole machine has spent on work since it started.
func Busy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseBusy(string(b))
}

func parseBusy(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, errors.New("/proc/stat: no line for all CPUs")
	}
	var ticks int64
	for i, s := range f[1:9] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		if i != 3 && i != 4 { // idle, and waiting for the disk
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / userHZ, nil
}

// Machine is what a reader must know to compare figures.
type Machine struct {
	CPU        string `json:"cpu"`
	CPUs       int    `json:"cpus"`
	MemoryMiB  int64  `json:"memory_mib"`
	Kernel     string `json:"kernel"`
	System     string `json:"system"`
	Filesystem string `json:"filesystem"`
}

// ErrMemoryDisk says that a folder is in memory, where a sync costs nothing and no figure means anything.
var ErrMemoryDisk = errors.New("this folder is in memory (tmpfs or ramfs), where a sync costs nothing")

// Describe returns the facts of the machine and of the file system that dir is on.
func Describe(dir string) (Machine, error) {
	m := Machine{CPUs: runtime.NumCPU()}
	m.CPU = field("/proc/cpuinfo", "model name", ":")
	m.System = strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`)
	if kb, err := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal", ":"), " kB"), 10, 64); err == nil {
		m.MemoryMiB = kb >> 10
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return m, err
	}
	switch fs.Type {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return m, ErrMemoryDisk
	}
	m.Filesystem = mountType(dir)
	return m, nil
}

func field(file, name, sep string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, sep); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// mountType returns the type and options of the mount with the longest path above dir.
func mountType(dir string) string {
	b, err := os.ReadFile("/proc/self/mounts")
	abs, err2 := filepath.Abs(dir)
	if err != nil || err2 != nil {
		return ""
	}
	best, found := -1, ""
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 4 || len(f[1]) < best {
			continue
		}
		if f[1] == "/" || abs == f[1] || strings.HasPrefix(abs, f[1]+"/") {
			best, found = len(f[1]), f[2]+" ("+f[3]+")"
		}
	}
	return found
}
