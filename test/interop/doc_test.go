// Package interop lets real programs, as Debian has them, talk to a real Postrider (package system starts it) and checks
// what arrived by a second program or library.
//
// Files: swaks_test.go · source_test.go (smtp-source) · curl_test.go · mbsync_test.go · mutt_test.go (real keys under
// tmux; so mutt_pop_test.go, aerc_test.go, alpine_test.go) · msmtp_test.go · fetchmail_test.go, getmail_test.go,
// offlineimap_test.go, mpop_test.go (clients_test.go is what they share; docs/clients.md lists all clients) · openssl_test.go ·
// corpus_test.go (400 real messages, two other parsers; deviations.go lists what is explained) · heap_test.go.
package interop

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }
