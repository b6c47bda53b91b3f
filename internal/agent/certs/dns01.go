package certs

import (
	"context"
	"fmt"
	"time"

	"github.com/mholt/acmez/v3"
	acmeproto "github.com/mholt/acmez/v3/acme"
	"github.com/postrider/postrider/internal/dns"
)

// dns01 puts the records of dns-01 (RFC 8555 §8.4) into a zone.
type dns01 struct {
	updater *dns.Updater
	ttl     time.Duration
	wait    time.Duration
}

var (
	_ acmez.Solver = (*dns01)(nil)
	_ acmez.Waiter = (*dns01)(nil)
)

// Present implements acmez.Solver.
func (d *dns01) Present(ctx context.Context, c acmeproto.Challenge) error {
	if err := d.updater.AddTXT(ctx, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization(), d.ttl); err != nil {
		return fmt.Errorf("tls.acme.dns: %w", err)
	}
	return nil
}

// Wait implements acmez.Waiter: the primary has the record, the zone's other servers are told by it.
func (d *dns01) Wait(ctx context.Context, _ acmeproto.Challenge) error {
	timer := time.NewTimer(d.wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// CleanUp implements acmez.Solver. It is called with the context of the whole, which may have ended; the record shall not
// stay for that.
func (d *dns01) CleanUp(ctx context.Context, c acmeproto.Challenge) error {
	return d.updater.RemoveTXT(context.WithoutCancel(ctx), c.DNS01TXTRecordName(), c.DNS01KeyAuthorization())
}
