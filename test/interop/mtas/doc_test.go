// Package mtas has Postrider and a real Postfix exchange mail as each other's mail exchanger.
//
// Each of the two lives in a network namespace of its own, joined by a pair of virtual interfaces, with a test DNS server
// that both ask: so ports are the real ones and addresses are private to the test. Making namespaces needs root.
//
//	namespace A  10.99.0.1   mx.a.example     Postrider; .53 the DNS; .11 nobody
//	namespace B  10.99.0.2   mx.b.example     Postfix; .3 host.c.example, a Postrider that has A's as its smart host; .12, .13 nobody
//
// Whatever happens, the processes in the namespaces and the namespaces themselves are gone when the test ends; what a
// killed run left behind is removed by the next one.
//
// Files: net_test.go (namespaces) · postfix_test.go, rider_test.go (the two systems) · world_test.go (all together) ·
// mail_test.go, trouble_test.go (what is shown).
package mtas

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }
