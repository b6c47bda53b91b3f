package submit

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SocketName is the socket's name in run_dir.
const SocketName = "submit.sock"

// maxSocketPath is what fits into the kernel's sockaddr_un, its NUL included.
const maxSocketPath = 108

// withPath calls fn with a path of the socket in dir that the kernel takes: a long one goes through the open folder. For
// that the folder need not be readable.
func withPath(dir string, fn func(path string) error) error {
	path := filepath.Join(dir, SocketName)
	if len(path) < maxSocketPath {
		return fn(path)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return errors.Join(fn(fmt.Sprintf("/proc/self/fd/%d/%s", fd, SocketName)), unix.Close(fd))
}

// Listen opens the socket in dir, for everybody. Who holds the lock of the data directory calls it: a socket that is
// there is left from a process that ended.
func Listen(dir string) (*net.UnixListener, error) {
	if err := os.Remove(filepath.Join(dir, SocketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("submission socket: %w", err)
	}
	var l *net.UnixListener
	err := withPath(dir, func(path string) (err error) {
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
			return err
		}
		l.SetUnlinkOnClose(false) // by path, which may not be ours any more; Server.Close removes it
		if err = os.Chmod(path, 0o666); err != nil {
			err = errors.Join(err, l.Close())
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("submission socket: %w", err)
	}
	return l, nil
}

// peerOf asks the kernel who connected.
func peerOf(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, failed
	}
	return cred.Uid, nil
}
