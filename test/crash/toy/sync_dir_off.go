//go:build nosync_dir

package main

const syncDir = false
