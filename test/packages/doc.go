// Package packages proves the Debian package in a fresh Debian: installed, started, used, upgraded, removed, purged.
//
// A folder is filled by debootstrap and entered with chroot in namespaces of its own (mounts, processes, network), so
// that nothing of it reaches the machine and nothing of it outlives the test. systemd does not run there: what the
// package tells it to do is covered by packaging/systemd's own tests. testdata/scenario.sh is what an administrator
// would type.
//
// It needs root and some minutes: make check-long runs it (POSTRIDER_LONG=1).
package packages
