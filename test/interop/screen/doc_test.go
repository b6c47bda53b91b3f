// Package screen compares screening and greylisting with Debian's postscreen and postgrey: the same clients, from the same
// addresses, with the same lists, are asked for the same replies and lines of the log.
package screen

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }
