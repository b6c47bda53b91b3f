// Package system runs real Postrider for tests against real programs.
//
//	func TestMain(m *testing.M) { os.Exit(system.Main(m)) }   // builds cmd/postrider once for a test binary
//
//	s := system.Start(t, system.Options{})                    // `postrider quickstart` in a temporary folder, free ports
//	out := system.Run(t, system.Command{Name: "swaks", Args: …}) // a peer's program, bounded in time
//	s.Await(t, s.Alice, "INBOX", 1)                           // by IMAP
//
// A system is started on loopback with ports that the kernel chooses, so any number may run side by side. It is stopped
// by TERM to its process id when the test ends, and must then end with exit code 0. When the test failed, the end of its
// log is shown. Missing programs are the affair of test/needs.
//
// Files: build.go (the binary) · system.go (its life) · account.go (IMAP as a test sees it) · run.go (peers' programs).
package system
