package intake

import (
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/received"
)

// Trace is the Received field of a transaction (RFC 5321 §4.4), a literal to put in front of its message.
func Trace(tx *flow.Transaction, hostname string, now time.Time) []byte {
	f := received.Field{Helo: tx.Client.Helo, Name: tx.Client.Name, IP: tx.Client.Addr.Addr(), By: hostname,
		Protocol: received.Protocol{Local: tx.Client.Protocol}, TLS: tx.Client.TLS, ID: tx.ID.String(), Time: now,
		Recipients: len(tx.Envelope.Recipients)}
	if len(tx.Envelope.Recipients) == 1 {
		f.For = tx.Envelope.Recipients[0].To
	}
	return f.Append(nil)
}
