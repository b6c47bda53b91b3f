package node

import (
	"testing"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/queue"
)

// queueIDs lists the jobs in a node's queue, oldest first.
func queueIDs(t *testing.T, n *Node) (ids []queueid.ID) {
	t.Helper()
	must(t, n.queue.Select(t.Context(), queue.Filter{}, func(i queue.Info) error {
		id, err := queueid.Parse(i.ID)
		ids = append(ids, id)
		return err
	}))
	return ids
}
