// Package packages proves the Debian package in a fresh Debian: installed, started, used, upgraded, removed, purged.
//
// A folder is filled by debootstrap and entered with chroot in namespaces of its own (mounts, processes, network), so
// that nothing of it reaches the machine and nothing of it outlives the test; another is booted by systemd in a container.
// testdata/scenario.sh and testdata/systemd.sh are what an administrator would type.
//
// It needs root and some minutes: make check-long runs it (POSTRIDER_LONG=1).
package packages
