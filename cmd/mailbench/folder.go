package main

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A comparison works in a folder of this name. It holds a lock on a file in it, so that the folder of one that was killed
// can be told from that of one that runs.
const (
	folderPrefix = "mailbench-"
	folderLock   = "lock"
)

// workFolder makes a folder in dir, after removing those that killed comparisons have left there. release removes it,
// unless it is to be kept.
func workFolder(dir string, keep bool) (path string, release func() error, err error) {
	old, err := filepath.Glob(filepath.Join(dir, folderPrefix+"*", folderLock))
	if err != nil {
		return "", nil, err
	}
	for _, lock := range old {
		f, err := lockFile(lock)
		if err != nil {
			continue // it runs, or it is not ours
		}
		err = errors.Join(os.RemoveAll(filepath.Dir(lock)), f.Close())
		if err != nil {
			return "", nil, err
		}
	}
	if path, err = os.MkdirTemp(dir, folderPrefix); err != nil {
		return "", nil, err
	}
	lock := filepath.Join(path, folderLock)
	f, err := lockFile(lock)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(path))
	}
	return path, func() error {
		defer f.Close()
		if keep {
			return os.Remove(lock) // without it nobody removes the folder
		}
		return os.RemoveAll(path)
	}, nil
}

// lockFile opens a file, which is made if it is not there, and takes its lock; it never waits. A link is not followed.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || int(st.Uid) != os.Getuid() { // /var/tmp is everybody's
		f.Close()
		return nil, errors.Join(err, os.ErrPermission)
	}
	return f, nil
}
