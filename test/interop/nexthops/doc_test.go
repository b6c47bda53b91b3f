// Package nexthops has Debian's Postfix, Exim and OpenSMTPD take mail from Postrider as its next hops and send mail to it.
//
// Each of them relays what Postrider gives it to a sink of ours, so that what it took can be compared, and what is for
// here.example to Postrider. OpenSMTPD's TLS is out of order in Debian: what is sent to it must arrive all the same, in the clear.
//
// All listen on the loopback. Exim and OpenSMTPD are unpacked, not installed: Debian's mail servers exclude each other; they run
// in mount namespaces in which the users that they want exist.
//
// Files: peers_test.go (the three) · sink_test.go (where their mail goes) · nexthops_test.go (what is shown).
package nexthops

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }
