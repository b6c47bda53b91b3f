package sasl

import (
	"context"
	"net/netip"
)

// Origin says where a login comes from. Engines put it into the context of an exchange; Authenticators use it for
// throttling and for the log.
type Origin struct {
	Remote   netip.AddrPort // zero for a local socket
	Local    netip.AddrPort // our side of it
	Service  string         // "smtp", "imap", …
	Session  uint64         // the engine's number of the connection
	TLS      string         // version and cipher; empty in the clear
	Failures int            // failed logins on this connection before

	Certificate string // CertificateName of the connection; "": the client has shown none
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
