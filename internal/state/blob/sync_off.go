//go:build nosync_pack

package blob

import "github.com/postrider/postrider/internal/vfs"

const recordsSynced = false

// syncRecords does nothing in this build, which exists so that the order proof and the power-cut replay can show that they
// notice. It is never shipped.
func syncRecords(vfs.File) error { return nil }
