package privhelper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const maxLinks = 16

// errUntrusted says that somebody else than root could have put there what a path leads to.
var errUntrusted = errors.New("not trusted")

// trust says whose files and folders are believed: root's, and those of the helper's own user, who is root except in tests.
type trust struct{ self uint32 }

func ownTrust() trust { return trust{uint32(os.Geteuid())} }

func (t trust) owner(uid uint32) bool { return uid == 0 || uid == t.self }

// check judges one step of a path. In a folder with the sticky bit others can add names, but not replace one of root's.
func (t trust) check(name string, st *unix.Stat_t) error {
	if !t.owner(st.Uid) {
		return fmt.Errorf("%q belongs to the user %d: %w", name, st.Uid, errUntrusted)
	}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFLNK, kind == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0:
		return nil
	case st.Mode&0o022 != 0:
		return fmt.Errorf("%q can be changed by its group or by everybody (mode %04o): %w", name, st.Mode&0o7777, errUntrusted)
	}
	return nil
}

// open opens a regular file for reading, step by step: each folder and link on the way must be trusted, and nothing that
// happens to a name after it was looked at matters, because the next step starts from what was looked at.
func (t trust) open(path string) (*os.File, error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.IndexByte(path, 0) >= 0 {
		return nil, fmt.Errorf("%q is not a plain absolute path: %w", path, errUntrusted)
	}
	dir, err := openPath(unix.AT_FDCWD, "/")
	if err != nil {
		return nil, err
	}
	defer func() { unix.Close(dir) }()
	steps, links := strings.Split(path, "/"), 0
	for len(steps) > 0 {
		name := steps[0]
		steps = steps[1:]
		if name == "" || name == "." {
			continue
		}
		fd, err := openPath(dir, name)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		var st unix.Stat_t
		if err := errors.Join(unix.Fstat(fd, &st), t.check(name, &st)); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			unix.Close(dir)
			dir = fd
		case unix.S_IFLNK:
			target, err := readLink(fd)
			unix.Close(fd)
			if links++; err != nil || links > maxLinks {
				return nil, fmt.Errorf("%s: too many links, or one that cannot be read: %w", path, errors.Join(err, unix.ELOOP))
			}
			if filepath.IsAbs(target) {
				unix.Close(dir)
				if dir, err = openPath(unix.AT_FDCWD, "/"); err != nil {
					return nil, err
				}
			}
			steps = append(strings.Split(target, "/"), steps...)
		default:
			unix.Close(fd)
			if len(steps) > 0 {
				return nil, &os.PathError{Op: "open", Path: path, Err: unix.ENOTDIR}
			}
			return t.openLast(dir, name, path)
		}
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: unix.EISDIR}
}

// openLast opens the file itself and judges what was opened, not what was there before. O_NONBLOCK: a pipe must not hang it.
func (t trust) openLast(dir int, name, path string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	err = errors.Join(unix.Fstat(fd, &st), t.check(name, &st))
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = fmt.Errorf("%q is not a regular file: %w", name, errUntrusted)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func openPath(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func readLink(fd int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// readTrusted returns the content of a trusted file of at most limit bytes.
func (t trust) readTrusted(path string, limit int64) ([]byte, error) {
	f, err := t.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return text, nil
}
