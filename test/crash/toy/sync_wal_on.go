//go:build !nosync_wal

package main

// syncWAL turns on the WAL's sync at commit; the build with nosync_wal lacks it.
const syncWAL = true
