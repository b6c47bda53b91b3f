// Package thunderbird runs the real Thunderbird on a virtual screen against a real Postrider: it finds its settings by
// itself, sends, receives, files, searches, goes offline and comes back. `make check-long` runs it.
//
// The test runs in a network and a mount namespace of its own: there, the domain's names lead to an address of the loopback
// interface where Postrider has the standard ports, so that Thunderbird's discovery is the one that users have. Nothing of
// it is seen outside, and all of it goes away with the process.
//
// Thunderbird is driven by Marionette, Mozilla's remote protocol, in its privileged context: the buttons that a person
// would press are pressed, and what a person would see is asked for. What has come of it is asserted from our side, by IMAP.
// Screenshots go to POSTRIDER_SCREENSHOTS, if that names a folder, for people to look at.
//
// Files: world_test.go (namespaces, screen, profile, the program) · marionette_test.go (the protocol) ·
// thunderbird_test.go (what is tested) · script_test.go (what is pressed and asked).
package thunderbird
