//go:build !nosync_pack

package blob

import "github.com/postrider/postrider/internal/vfs"

const recordsSynced = true

// syncRecords makes appended records durable: the sync that a 250 stands on.
func syncRecords(f vfs.File) error { return f.Datasync() }
