//go:build nosync_pack

package main

const syncPack = false
