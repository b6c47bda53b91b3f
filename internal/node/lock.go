package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postrider/postrider/internal/vfs"
	"golang.org/x/sys/unix"
)

// ErrLocked says that another process has the data directory.
var ErrLocked = errors.New("the data directory is in use by another postrider process")

// lockDir takes the data directory for this process; it is made when it does not exist. Closing the file gives it back.
func lockDir(dir string) (*os.File, error) {
	if err := makeDir(dir, 0o711); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, ErrLocked), f.Close())
	}
	return f, nil
}

// makeDir makes a directory and those above it where they are missing, and their names durable.
func makeDir(dir string, mode fs.FileMode) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return vfs.OS{}.SyncDir(parent)
}

// MakeDir makes a data directory that is not there: others may pass through it to the submission socket, and see nothing.
func MakeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	err := os.MkdirAll(dir, 0o711)
	if err == nil {
		err = os.Chmod(dir, 0o711) // whatever the umask
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}
