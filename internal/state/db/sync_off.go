//go:build nosync_wal

package db

// synchronous: a build with the tag nosync_wal never syncs. It exists so that the order proof and the power-cut replay
// can be seen to fail; it is never shipped.
func (s Sync) synchronous() string { return "OFF" }

func (s Sync) synchronousCommit() string { return "off" }
