package access

import (
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// runLoginMismatch: a sender with an owner is its owner's only, and who has logged in uses senders of their own only.
func runLoginMismatch(e *eval, r *rule) outcome {
	if e.session.conn.Client.Login != "" {
		return runAuthenticatedMismatch(e, r)
	}
	return runUnauthenticatedMismatch(e, r)
}

func runAuthenticatedMismatch(e *eval, r *rule) outcome {
	return e.loginMismatch(r, true, false, false)
}

func runUnauthenticatedMismatch(e *eval, r *rule) outcome {
	return e.loginMismatch(r, false, true, false)
}

// runKnownMismatch looks at senders that have an owner only.
func runKnownMismatch(e *eval, r *rule) outcome { return e.loginMismatch(r, true, true, true) }

// loginMismatch refuses senders that belong to somebody else: of clients that have logged in, of those that have not, and
// whether senders without an owner are passed over.
func (e *eval) loginMismatch(r *rule, loggedIn, stranger, known bool) outcome {
	c := &e.session.conn.Client
	if e.tx == nil || e.tx.Envelope.From.IsZero() || c.Login == "" && !stranger || c.Login != "" && !loggedIn {
		return pass
	}
	owned, mine, err := e.owners()
	switch {
	case err != nil:
		return e.lookupFailed(r, e.senderPath(), err)
	case c.Login == "" && owned:
		return e.refuse(obs.ReasonSender, status.Perm(553, 7, 1, printable(e.senderPath()+": Sender address rejected: not logged in")))
	case c.Login == "" || mine || known && !owned:
		return pass
	}
	return e.refuse(obs.ReasonSender, status.Perm(553, 7, 1, printable(e.senderPath()+": Sender address rejected: not owned by user "+c.Login)))
}

// owners tells whether the sender has an owner, and whether it is who has logged in.
func (e *eval) owners() (owned, mine bool, err error) {
	from, c := e.tx.Envelope.From, &e.session.conn.Client
	if len(e.policy.opt.Config.SmtpdSenderLoginMaps) == 0 {
		if c.Account != 0 && e.policy.opt.Owners != nil {
			if mine, err = e.policy.opt.Owners.OwnsAddress(e.ctx, c.Account, from); err != nil || mine {
				return mine, mine, err
			}
		}
		ours, err := e.policy.opt.Destinations.Authorized(e.ctx, from)
		if err != nil || !ours {
			return false, false, err
		}
		listed, _, err := e.policy.opt.Destinations.Listed(e.ctx, from, true)
		return listed, false, err
	}
	keys := table.Address(from, table.WithoutExtension|table.LocalPart|table.AtDomain, e.policy.opt.Delimiters, e.policy.dotted)
	if from.Domain != e.policy.opt.Domain { // "user" alone is an address of this host's domain
		keys = table.Address(from, table.WithoutExtension|table.AtDomain, e.policy.opt.Delimiters, e.policy.dotted)
	}
	value, _, found, err := e.policy.logins.First(e.ctx, keys)
	if err != nil || !found {
		return false, false, err
	}
	for _, owner := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		mine = mine || c.Login != "" && strings.EqualFold(owner, c.Login)
	}
	return true, mine, nil
}
