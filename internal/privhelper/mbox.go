package privhelper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Locking as Postfix has it: deliver_lock_attempts, deliver_lock_delay, stale_lock_time.
const (
	lockAttempts = 20
	lockDelay    = time.Second
	staleLock    = 500 * time.Second
)

// mbox appends a message to a file, which may be made. When something fails the file is as it was before.
func mbox(message *os.File, path string, who identity, limit int64) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_APPEND|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0o600)
	if err != nil {
		return fileFailure(path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fileFailure(path, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return undelivered("5.2.0", "%s is not a regular file", path)
	case st.Nlink != 1:
		return undelivered("5.2.0", "%s has %d names", path, st.Nlink)
	case int(st.Uid) != who.uid:
		return undelivered("5.2.0", "%s does not belong to %s", path, who.name)
	case st.Mode&0o111 != 0:
		return undelivered("5.7.1", "%s is executable", path)
	}
	unlock, err := lock(f, path)
	if err != nil {
		return fileFailure(path, err)
	}
	defer unlock()
	return appendTo(f, message, path, limit)
}

func appendTo(f, message *os.File, path string, limit int64) error {
	before, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fileFailure(path, err)
	}
	info, err := message.Stat()
	if err != nil {
		return err
	}
	if before+info.Size() > limit {
		return undelivered("5.2.2", "%s would become larger than %d bytes", path, limit)
	}
	err = endLine(f, before)
	if err == nil {
		_, err = io.Copy(f, message)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return fileFailure(path, errors.Join(err, f.Truncate(before)))
	}
	return nil
}

// endLine ends what a crash has cut off in the middle of a line, or the next message would be a part of that one.
func endLine(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err := f.WriteString("\n\n")
	return err
}

// lock takes path.lock and the lock of fcntl(2). Where no file can be made beside path, the second alone counts, as in
// local(8) for files that are not a user's mailbox.
func lock(f *os.File, path string) (unlock func(), err error) {
	dot, unlock := path+".lock", func() {}
	for try := 0; ; try++ {
		l, err := os.OpenFile(dot, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			_ = l.Close()
			unlock = func() { _ = os.Remove(dot) }
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			break
		}
		if info, err := os.Lstat(dot); err == nil && time.Since(info.ModTime()) > staleLock {
			_ = os.Remove(dot)
			continue
		}
		if try >= lockAttempts {
			return nil, unix.EAGAIN
		}
		time.Sleep(lockDelay)
	}
	for try := 0; ; try++ {
		err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		if err == nil {
			return unlock, nil
		}
		if try >= lockAttempts || !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			unlock()
			return nil, unix.EAGAIN
		}
		time.Sleep(lockDelay)
	}
}

// maildir puts a message into the Maildir at path, which ends in "/" and may be made.
func maildir(message *os.File, path string) error {
	for _, sub := range []string{"tmp", "cur", "new"} {
		if err := os.MkdirAll(filepath.Join(path, sub), 0o700); err != nil {
			return fileFailure(path, err)
		}
	}
	host, _ := os.Hostname()
	host = strings.NewReplacer("/", `\057`, ":", `\072`).Replace(host)
	now := time.Now()
	stem := fmt.Sprintf("%d.M%dP%d", now.Unix(), now.Nanosecond()/1000, os.Getpid())
	tmp := filepath.Join(path, "tmp", stem+"."+host)
	fd, err := unix.Open(tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fileFailure(path, err)
	}
	f := os.NewFile(uintptr(fd), tmp)
	_, err = io.Copy(f, message)
	if err == nil {
		err = f.Sync()
	}
	var st unix.Stat_t
	err = errors.Join(err, unix.Fstat(fd, &st), f.Close())
	if err == nil {
		err = os.Rename(tmp, filepath.Join(path, "new", fmt.Sprintf("%sV%xI%x.%s", stem, st.Dev, st.Ino, host)))
	}
	if err != nil {
		return fileFailure(path, errors.Join(err, os.Remove(tmp)))
	}
	return syncDir(filepath.Join(path, "new"))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fileFailure(path, err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// fileFailure is what a sender reads of an error of the system: full, locked and broken disks are for a later try.
func fileFailure(path string, err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return undelivered("4.2.2", "no room for %s: %v", path, err)
	case errors.Is(err, unix.EFBIG):
		return undelivered("5.2.2", "%s is too large: %v", path, err)
	case errors.Is(err, unix.EAGAIN):
		return undelivered("4.2.0", "%s is locked by somebody else", path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR),
		errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return undelivered("5.2.0", "cannot write to %s: %v", path, err)
	}
	return undelivered("4.3.0", "cannot write to %s: %v", path, err)
}
