package vfs

import (
	"errors"
	"syscall"
)

// Class says what a failed file operation means for the process.
type Class int

// The classes. None is no error.
const (
	None      Class = iota
	Temporary       // no space, quota, read-only, out of descriptors or memory: nothing was promised, try again later
	Fatal           // the disk no longer does what it says: stop acknowledging
)

// temporary are the errors after which the next attempt may work and nothing already written is in doubt.
var temporary = [...]syscall.Errno{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EFBIG,
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
}

// Classify sorts the error of a write, create, truncate, rename or remove. A failed Datasync or SyncDir is Fatal whatever
// its error: after it the kernel may have dropped the dirty pages and a second sync would succeed without them, so callers
// must not ask here.
func Classify(err error) Class {
	if err == nil {
		return None
	}
	for _, e := range temporary {
		if errors.Is(err, e) {
			return Temporary
		}
	}
	return Fatal
}
