//go:build !race

package imap_test

// underRace tells that the race detector is at work.
const underRace = false
