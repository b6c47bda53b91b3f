//go:build !nosync_pack

package main

// syncPack turns on a record's fdatasync; the build with nosync_pack lacks it.
const syncPack = true
