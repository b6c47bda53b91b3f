// Package interop lets real programs, as Debian has them, talk to a real Postrider (package system starts it) and checks
// what arrived by a second program or library.
//
// Files: swaks_test.go · source_test.go (smtp-source) · curl_test.go · mbsync_test.go · mutt_test.go (real keys under
// tmux) · corpus_test.go (400 real messages, two other parsers; deviations.go lists what is explained) · heap_test.go.
package interop

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }
