//go:build !linux

package vfs

// Datasync is a full fsync where fdatasync(2) is not to be had.
func (f osFile) Datasync() error { return f.Sync() }

// WriteVecAt writes piece by piece.
func (f osFile) WriteVecAt(pieces [][]byte, off int64) (int64, error) {
	var done int64
	for _, p := range pieces {
		n, err := f.WriteAt(p, off+done)
		done += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
