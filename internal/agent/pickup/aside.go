package pickup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// maxAside is how much rubbish is kept.
const maxAside = 1000

// maxStuck is how many entries that can be neither moved nor removed are remembered, so that each is reported once.
const maxStuck = 1000

// aside knows what has become of rubbish.
type aside struct {
	mu     sync.Mutex
	dir    *os.File // nil: not opened yet
	number int      // of names given
	count  int      // entries in it
	stuck  map[string]bool
}

// putAside gets an entry that is no submission out of the way and reports it once. A folder is removed if it is empty.
// All else is moved: it is never opened, and a link is not followed. When the place for rubbish is full it is removed.
func (d *Drop) putAside(name string, st *unix.Stat_t, why string) {
	d.aside.mu.Lock()
	defer d.aside.mu.Unlock()
	if d.aside.stuck[name] {
		return
	}
	msg := "rubbish in the drop folder was moved to " + d.Aside
	var err error
	switch folder := st.Mode&unix.S_IFMT == unix.S_IFDIR; {
	case folder:
		msg, err = "an empty folder in the drop folder was removed", unix.Unlinkat(int(d.dir.Fd()), name, unix.AT_REMOVEDIR)
	case d.aside.open(d.Aside) == nil && d.aside.count < maxAside:
		if err = d.aside.take(int(d.dir.Fd()), name); !errors.Is(err, unix.EXDEV) {
			break
		}
		fallthrough // the drop folder is a file system of its own, or Landlock of Linux before 5.19 lets nothing move
	default:
		msg, err = "rubbish in the drop folder was removed: "+d.Aside+" is full or out of reach", unix.Unlinkat(int(d.dir.Fd()), name, 0)
	}
	if err != nil {
		msg, why = "rubbish in the drop folder can be neither moved nor removed; it stays there", fmt.Sprintf("%s; %v", why, err)
		if d.aside.stuck == nil {
			d.aside.stuck = map[string]bool{}
		}
		if len(d.aside.stuck) >= maxStuck {
			return
		}
		d.aside.stuck[name] = true
	}
	d.say(msg, name, st, why)
}

// open opens the place and counts what is there.
func (a *aside) open(path string) error {
	if a.dir != nil {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	for a.count < maxAside {
		names, err := dir.Readdirnames(maxAside)
		a.count += len(names)
		if err == io.EOF {
			break
		}
		if err != nil {
			_ = dir.Close()
			return err
		}
	}
	a.dir = dir
	return nil
}

// take moves an entry under a name that is free: a number, the process, and what is harmless of its own name.
func (a *aside) take(from int, name string) error {
	a.number++
	safe := strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != '/' {
			return r
		}
		return '_'
	}, name)
	to := fmt.Sprintf("%d.%d.%s", os.Getpid(), a.number, safe[:min(len(safe), 100)])
	err := unix.Renameat2(from, name, int(a.dir.Fd()), to, unix.RENAME_NOREPLACE)
	if err == unix.EEXIST { // left by another process of that number
		to += fmt.Sprintf(".%d", len(name)+a.number)
		err = unix.Renameat2(from, name, int(a.dir.Fd()), to, unix.RENAME_NOREPLACE)
	}
	if err == nil {
		a.count++
	}
	return err
}
