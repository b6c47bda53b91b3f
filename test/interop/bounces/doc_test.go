// Package bounces gives the same mail to Debian's Postfix and to Postrider, behind the same next hop that turns some of it away,
// and compares the reports that come back: to whom, from whom, and the fields of message/delivery-status (RFC 3464).
//
//	sink_test.go   the next hop, which keeps the reports
//	same_test.go   the mail, and what is compared
package bounces

import (
	"os"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }
