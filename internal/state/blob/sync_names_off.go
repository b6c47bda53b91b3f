//go:build nosync_packdir

package blob

import "github.com/postrider/postrider/internal/vfs"

// syncNames does nothing in this build, which the order proof and the power-cut replay must find out. It is never shipped.
func syncNames(vfs.FS, string) error { return nil }
