//go:build !nosync_wal

package db

// synchronous is the value of SQLite's PRAGMA synchronous: FULL syncs the log at every commit, NORMAL only at a
// checkpoint (for databases that can be rebuilt).
func (s Sync) synchronous() string {
	if s == SyncNormal {
		return "NORMAL"
	}
	return "FULL"
}

// synchronousCommit is the same for PostgreSQL. What SyncNormal may lose is what the server has not written yet.
func (s Sync) synchronousCommit() string {
	if s == SyncNormal {
		return "off"
	}
	return "on"
}
