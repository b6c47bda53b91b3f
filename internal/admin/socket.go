package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// socketName is the socket's name in run_dir.
const socketName = "admin.sock"

// maxSocketPath is what fits into the kernel's sockaddr_un, its NUL included.
const maxSocketPath = 108

// withSocketPath calls fn with a path of dir's socket that the kernel takes: a long one goes through the open folder.
func withSocketPath(dir string, fn func(path string) error) error {
	path := filepath.Join(dir, socketName)
	if len(path) < maxSocketPath {
		return fn(path)
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(fn(fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketName)), f.Close())
}

// listen opens the socket in dir, which is made. Who holds the lock of the data directory calls it: a socket that is there
// is left from a process that ended.
func listen(dir string) (*net.UnixListener, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("run_dir: %w", err)
	}
	if err := os.Remove(filepath.Join(dir, socketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("run_dir: %w", err)
	}
	var l *net.UnixListener
	err := withSocketPath(dir, func(path string) (err error) {
		// Others may pass through the folder, to submit.sock; but connecting takes the right to write to the socket, which
		// no umask gives them before the mode is set.
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
			return err
		}
		l.SetUnlinkOnClose(false) // by path, which may not be ours any more; Server.Close removes it
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return l, nil
}

func dial(ctx context.Context, dir string) (conn net.Conn, err error) {
	err = withSocketPath(dir, func(path string) (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", path)
		return err
	})
	return conn, err
}
