package vfs

import (
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// maxPieces is IOV_MAX of Linux: pieces of one pwritev(2).
const maxPieces = 1024

// control runs fn on the descriptor, again for as long as it is interrupted by a signal.
func (f osFile) control(op string, fn func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = conn.Control(func(fd uintptr) {
		for {
			if opErr = fn(int(fd)); opErr != unix.EINTR {
				return
			}
		}
	})
	if err == nil && opErr != nil {
		err = &fs.PathError{Op: op, Path: f.Name(), Err: opErr}
	}
	return err
}

// Datasync is fdatasync(2): the contents and what is needed to read them back, not the times.
func (f osFile) Datasync() error {
	return f.control("fdatasync", unix.Fdatasync)
}

// WriteVecAt is pwritev(2), repeated after a short write.
func (f osFile) WriteVecAt(pieces [][]byte, off int64) (int64, error) {
	var done int64
	skip := 0 // bytes of pieces[0] already written
	for {
		for len(pieces) > 0 && skip >= len(pieces[0]) {
			skip -= len(pieces[0])
			pieces = pieces[1:]
		}
		if len(pieces) == 0 {
			return done, nil
		}
		if skip > 0 { // the rest of a piece that a short write cut
			n, err := f.WriteAt(pieces[0][skip:], off+done)
			done += int64(n)
			if err != nil {
				return done, err
			}
			pieces, skip = pieces[1:], 0
			continue
		}
		var n int
		err := f.control("pwritev", func(fd int) (err error) {
			n, err = unix.Pwritev(fd, pieces[:min(len(pieces), maxPieces)], off+done)
			return err
		})
		if err == nil && n == 0 {
			err = &fs.PathError{Op: "pwritev", Path: f.Name(), Err: io.ErrShortWrite}
		}
		if err != nil {
			return done, err
		}
		done += int64(n)
		skip = n
	}
}
