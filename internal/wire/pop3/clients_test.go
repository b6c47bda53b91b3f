package pop3_test

import (
	"context"
	"net"
	"testing"

	"github.com/postrider/postrider/internal/wire/pop3"
	"github.com/postrider/postrider/test/dialogue"
)

// TestDialoguesOfClients replays what clients are known to say; docs/clients.md tells from where it is known.
func TestDialoguesOfClients(t *testing.T) {
	dialogue.Files(t, "testdata/clients/*.txt", func(*testing.T) func(net.Conn) {
		s := newStore()
		srv := newServer(s, testConfig(s))
		return func(c net.Conn) { srv.ServeConn(context.Background(), c, pop3.Secure) }
	})
}
