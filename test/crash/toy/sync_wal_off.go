//go:build nosync_wal

package main

const syncWAL = false
