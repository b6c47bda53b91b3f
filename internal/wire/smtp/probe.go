package smtp

import (
	"context"

	"github.com/postrider/postrider/internal/mail/address"
)

// Probe asks whether the server takes mail for an address, without sending any: MAIL, RCPT, RSET. The outcome is RCPT's, or
// MAIL's where that was refused; the errors are those of Send.
func (c *Client) Probe(ctx context.Context, from, to address.Address) (Outcome, error) {
	smtputf8 := ""
	if from.NeedsUTF8() || to.NeedsUTF8() {
		if _, ok := c.ext["SMTPUTF8"]; !ok {
			return Outcome{}, ErrSMTPUTF8
		}
		smtputf8 = " SMTPUTF8"
	}
	r, err := c.command(ctx, PhaseMail, "MAIL FROM:"+from.Path()+smtputf8)
	if err != nil || r.Code/100 != 2 {
		return Outcome{PhaseMail, r}, err
	}
	if r, err = c.command(ctx, PhaseRcpt, "RCPT TO:"+to.Path()); err != nil {
		return Outcome{PhaseRcpt, r}, err
	}
	_ = c.Reset(ctx) // the connection is not used again
	return Outcome{PhaseRcpt, r}, nil
}
