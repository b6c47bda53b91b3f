package admin

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Process is the process that listens on dir's socket, by the kernel's word (SO_PEERCRED, unix(7)): who signals it may be root,
// and must not believe the number that a server tells of itself.
func Process(ctx context.Context, dir string) (pid int, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dial(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	controlErr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(controlErr, err); err != nil {
		return 0, fmt.Errorf("admin socket: %w", err)
	}
	if cred.Pid == 0 { // it is in a PID namespace that is not below ours
		return 0, errors.New("the server's process cannot be seen from here: it runs in a container of its own")
	}
	return int(cred.Pid), nil
}
