//go:build !nosync_packdir

package blob

import "github.com/postrider/postrider/internal/vfs"

// syncNames makes the name of a new pack durable.
func syncNames(fs vfs.FS, dir string) error { return fs.SyncDir(dir) }
