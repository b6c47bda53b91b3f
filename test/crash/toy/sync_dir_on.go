//go:build !nosync_dir

package main

// syncDir turns on the directory sync of a new pack; the build with nosync_dir lacks it.
const syncDir = true
