package sasl

import (
	"context"
	"net/netip"
)

// Origin says where a login comes from. Engines put it into the context of an exchange; Authenticators use it for
// throttling and for the log.
type Origin struct {
	Remote  netip.AddrPort // zero for a local socket
	Service string         // "smtp", "imap", …
	Session uint64         // the engine's number of the connection
}

type originKey struct{}

// WithOrigin returns a context that carries o.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf returns what WithOrigin put in, or the zero Origin.
func OriginOf(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}
