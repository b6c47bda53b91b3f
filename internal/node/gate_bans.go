package node

import (
	"context"
	"fmt"
	"net/http"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/web/proxy"
)

// banGate says once more what the listener has asked, for those who only think of a session.
type banGate struct{ node *Node }

// Connect implements gate.Gate.
func (g banGate) Connect(_ context.Context, c *gate.Conn) (gate.Session, error) {
	b, banned := g.node.banned(c.Client.Addr.Addr())
	if !banned {
		return gate.Open{}, nil
	}
	err := status.Temp(421, 7, 0, banText)
	if b.Until.IsZero() {
		err = status.Perm(554, 7, 1, banTextGood)
	}
	c.Tell(gate.AtConnect, "ban "+shownNetwork(b.Network), fmt.Sprintf("reject %d %s %s", err.Code, err.Enhanced, err.Public))
	return nil, err
}

// guests keeps the banned from the pages who come through a proxy; the others the listener has refused.
func (n *Node) guests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, banned := n.banned(proxy.From(r.Context()).Addr); banned {
			n.bans.refused("http").Inc()
			http.Error(w, banText, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
