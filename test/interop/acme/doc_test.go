// Package acme has Postrider obtain its certificates from a real ACME server: pebble, built from the tools module.
//
// Pebble listens on loopback and asks a test DNS server; where the authority's requests arrive is ports of the test's, in
// the place of 80 and 443. For dns-01 the zone lies in a real BIND, which takes updates signed by TSIG.
//
// Files: pebble_test.go (the authority) · named_test.go (the zone) · manager_test.go (each challenge, renewal and refusal,
// with package certs alone) · system_test.go (the whole server, also behind a proxy) · proxy_test.go (nginx, Caddy).
package acme

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }
