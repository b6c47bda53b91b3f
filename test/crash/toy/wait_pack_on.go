//go:build !nowait_pack

package main

// waitPack has the reply wait for the sync; the build with nowait_pack starts
// the sync and answers at once.
const waitPack = true
