// Package postcommands puts the same mail into the queues of Debian's Postfix and of Postrider, gives both the same commands
// under Postfix's names, and compares output and exit codes, after ids, times, sizes and Received fields are made alike.
//
//	world_test.go   both systems, and the next hop that defers everything
//	alike_test.go   what is made alike before outputs are compared, and why
//	same_test.go    the commands
package postcommands

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }
