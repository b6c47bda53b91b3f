package node

import (
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/gate"
)

// contentGates are those who judge what is in messages, in Postfix's order: the checks of lines, then the milters, then
// where to a filter after the queue. service
// "sendmail" is mail of programs of this host; what comes back from a filter has been judged.
func (n *Node) contentGates(c *config.Config, service string) gate.Chain {
	if service == "reinject" || service == "lmtp" {
		return nil
	}
	chain := append(n.checksGate(c), n.milterGate(c, service)...)
	return append(chain, n.filterGate(c)...)
}
