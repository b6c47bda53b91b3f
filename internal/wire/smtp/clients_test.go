package smtp

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/dialogue"
)

// TestDialoguesOfClients replays what clients are known to say, under TLS at a submission server, or, where a script's
// name begins with mx, in clear at an MX; docs/clients.md tells from where it is known.
func TestDialoguesOfClients(t *testing.T) {
	dialogue.Files(t, "testdata/clients/*.txt", func(t *testing.T) func(net.Conn) {
		server, mode := "submission", TLSImplicit
		if strings.HasPrefix(t.Name(), "TestDialoguesOfClients/mx-") {
			server, mode = "mx", TLSStart
		}
		s := testServer(t, server, &backend{}, nil)
		return func(c net.Conn) { s.ServeConn(context.Background(), c, mode) }
	})
}
