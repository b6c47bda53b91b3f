//go:build !linux

package smtp

import "net"

// pendingInput cannot tell here.
func pendingInput(net.Conn) bool { return false }
