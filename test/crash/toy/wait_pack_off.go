//go:build nowait_pack

package main

const waitPack = false
