package node

import (
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/gate"
)

// gates are those who judge the sessions of a service, in the order in which they are asked.
func (n *Node) gates(c *config.Config, service string) gate.Gate {
	if service == "reinject" {
		return reinjected{c.Filters.ReinjectNetworks.Contains}
	}
	chain := gate.Chain{banGate{n}}
	chain = append(chain, n.rateGate(c, service)...)
	chain = append(chain, n.screenGates(c, service)...)
	chain = append(chain, n.accessGates(service)...)
	chain = append(chain, n.greylistGates(c, service)...)
	chain = append(chain, n.contentGates(c, service)...)
	return chain
}
