package certs

import (
	"context"
	"errors"
	"net"
	"testing"

	acmeproto "github.com/mholt/acmez/v3/acme"
	"github.com/postrider/postrider/internal/dns"
)

// A challenge that is called off, as at the end of the process, leaves no record in the zone.
func TestCleanUpOfAChallengeThatWasCalledOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dialled := false
	d := &dns01{updater: &dns.Updater{Server: "127.0.0.1:53", Zone: "here.test", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialled = ctx.Err() == nil
		return nil, errors.New("no server")
	}}}
	if err := d.CleanUp(ctx, acmeproto.Challenge{Identifier: acmeproto.Identifier{Value: "mx.here.test"}}); err == nil || !dialled {
		t.Errorf("the server was not asked to remove the record: %v", err)
	}
}
