package main

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// leveller brings the disk into the same state before every run. Disks of rented machines write a first gigabyte
// several times faster than what follows; a shape that happened to run on what is left of that budget would win. So the
// budget is spent first, and all shapes run at the rate that lasts.
//
// It goes round in one file: rewriting a small one again and again would stay within the budget.
type leveller struct {
	f       *os.File
	buf     []byte
	off     int64
	first   time.Duration // of a window at the very beginning
	limited bool          // the rate fell to less than half of that
}

const (
	levelBlock  = 50 * bodySize
	levelWindow = 20      // blocks, 10 MiB
	levelFile   = 2 << 30 // the file goes round; much larger than any cache that hides the limit
	levelFirst  = 200     // windows to look for a limit, 2 GB
	levelLater  = 40      // windows before a run
)

func newLeveller(dir string) (*leveller, error) {
	f, err := os.Create(filepath.Join(dir, "level"))
	if err != nil {
		return nil, err
	}
	l := &leveller{f: f, buf: make([]byte, levelBlock)}
	fill(l.buf, 1)
	if l.first, err = l.window(); err != nil {
		return nil, err
	}
	l.limited, err = l.spend(levelFirst)
	return l, err
}

// level spends what the disk has saved up since.
func (l *leveller) level() error {
	if !l.limited {
		return nil
	}
	_, err := l.spend(levelLater)
	return err
}

// spend writes until three windows in a row take more than twice the first; false if that does not happen.
func (l *leveller) spend(windows int) (bool, error) {
	slow := 0
	for range windows {
		took, err := l.window()
		if err != nil {
			return false, err
		}
		if took < 2*l.first {
			slow = 0
		} else if slow++; slow == 3 {
			return true, nil
		}
	}
	return false, nil
}

func (l *leveller) window() (time.Duration, error) {
	begin := time.Now()
	for range levelWindow {
		if err := l.write(); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

func (l *leveller) write() error {
	if l.off+levelBlock > levelFile {
		l.off = 0
	}
	if _, err := l.f.WriteAt(l.buf, l.off); err != nil {
		return err
	}
	l.off += levelBlock
	return unix.Fdatasync(int(l.f.Fd()))
}
