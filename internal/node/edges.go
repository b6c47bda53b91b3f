package node

import (
	"context"
	"net/netip"

	"github.com/postrider/postrider/internal/wire/sasl"
)

// isProxy tells the proxies whose connections begin with a PROXY header.
func (n *Node) isProxy(a netip.Addr) bool { return n.config.Load().Edges.ProxyNetworks.Contains(a) }

// loginTold finds the account that a proxy has logged in, and names by XCLIENT.
func (n *Node) loginTold(ctx context.Context, name string) (sasl.Identity, error) {
	acc, found, err := n.directory.LoginAccount(ctx, name)
	if err != nil {
		return sasl.Identity{}, err
	}
	if !found || acc.NoLogin {
		return sasl.Identity{}, sasl.ErrCredentials
	}
	return sasl.Identity{Account: acc.ID, Name: acc.Address.String()}, nil
}
