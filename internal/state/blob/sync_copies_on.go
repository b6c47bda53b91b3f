//go:build !nosync_copies

package blob

import "github.com/postrider/postrider/internal/vfs"

// syncCopies makes what a compaction copied durable: the references move after it.
func syncCopies(f vfs.File) error { return f.Datasync() }
