package flow

import (
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// Client is who handed a message over.
type Client struct {
	Addr     netip.AddrPort // zero for local submission
	Name     string         // verified reverse name; empty when unknown
	Helo     string         // argument of EHLO, HELO or LHLO as given
	Protocol string         // the "with" of Received, RFC 3848: SMTP, ESMTP, ESMTPS, ESMTPSA, LMTP, …
	TLS      string         // version and cipher suite; empty without TLS
	Account  int64          // of the authenticated account; 0 without AUTH
	Login    string         // the authenticated account's address; empty without AUTH
}

// Transaction is one mail transaction (RFC 5321 §3.3) up to the end of its envelope.
type Transaction struct {
	ID       queueid.ID
	Started  time.Time
	Client   Client
	Envelope envelope.Envelope
}
