// Package route decides, per envelope recipient, which way a message goes: into which mailboxes of ours, or to which next
// hop. It turns an envelope into the flow.Plan; alias expansion happens here, at acceptance, and is stored in the job.
//
// The order is Postfix's (ADDRESS_REWRITING_README, ADDRESS_CLASS_README): an address is brought to its standard form,
// mapped by the canonical tables, masqueraded; then virtual_alias_maps say what it stands for, for recipients of every
// class; then the class of its domain and transport_maps say where it goes. Addresses of the local class and of the
// domains of the directory are asked of the Expander (aliases(5)) and the Directory, whose answers are routed in turn.
//
// It asks a Directory whose domain and whose mailbox an address is, and tables; node fills both. It does no I/O of its
// own and keeps no state. Refusals are status.Errors fit for the reply to RCPT; anything that a directory or a table
// cannot answer is a temporary failure. Every expansion is bounded in number and depth; a loop is named in the error.
//
//	route.go      Router: one recipient's way
//	rules.go      the settings
//	class.go      address classes; what is listed
//	form.go       the standard form of addresses: routes, percent hack, bang paths, missing domains
//	mapping.go    one address by another: canonical, generic, masquerade
//	expand.go     what an address stands for: virtual aliases, and on to its class
//	local.go      names of this host: the Expander, luser_relay
//	mailbox.go    the directory
//	hop.go        transport and next hop of a final address
//	nexthop.go    the syntax transport:nexthop
//	sender.go     reverse-paths: rewriting, and SRS for what is forwarded
//	copies.go     the bcc settings
//	plan.go       the recipients of one transaction
//	room.go       quota
package route

import (
	"context"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// Target is one final recipient of an address: an account of ours, or an address elsewhere.
type Target struct {
	Account   int64           // 0: elsewhere
	Address   address.Address // final address
	Extension string          // of an account's address as it was asked for, without its delimiter
}

// Directory answers for the addresses of our domains.
type Directory interface {
	// Lookup returns who receives mail for a. ours is false, and the rest empty, when a's domain is not one of ours. For an
	// unknown user of our domain the error is a permanent status.Error; when the directory cannot tell, a temporary one.
	Lookup(ctx context.Context, a address.Address) (targets []Target, ours bool, err error)
	// Domain tells whether a domain (A-labels) is one of ours, and whose.
	Domain(ctx context.Context, domain string) (tenant int64, ours bool, err error)
}

// Expander says what names of this host stand for besides accounts: aliases(5), .forward, groups.
type Expander interface {
	// Expand returns what a recipient of the local class stands for; found is false where nothing stands, and the directory
	// has the word. An error is a temporary failure unless it is a permanent status.Error, which refuses the recipient.
	Expand(ctx context.Context, l Local) (members []Member, found bool, err error)
}

// Local is a recipient of the local class: of the host's domain, of mydestination, of an address literal of ours.
type Local struct {
	Address address.Address // in the host's domain
	// Path has the addresses that led here, the first one first; the Router has seen to it that Address is not among them.
	Path []address.Address
	From address.Address // of the message, rewritten
	// Final asks for the steps behind aliases only (.forward): an alias has led to the account itself ("\user", or the
	// alias's own name).
	Final bool
}

// Member is one of those that a local name stands for.
type Member struct {
	// Address is routed in turn, through all tables; one of the local class is given to the Expander again. With Self it is
	// the account of that name itself: no alias is looked up any more.
	Address address.Address
	Self    bool
	// Transport is flow.Pipe or flow.File, with NextHop as the lane of that transport understands it; zero: Address.
	Transport flow.Transport
	NextHop   string
	// Sender is the reverse-path of this member's copy (owner-list); nil: the message's.
	Sender *address.Address
}

// Query asks for the way of one envelope recipient.
type Query struct {
	From address.Address // reverse-path, as Router.Sender has rewritten it
	To   envelope.Recipient
	// MayRelay is true for clients that may send to elsewhere.
	MayRelay bool
	// Note hears which rule decided; nil: nobody listens.
	Note func(Note)
}

// Note is a rule that decided something about an address.
type Note struct {
	Rule   string // the setting's name, in Postfix's words: "virtual_alias_maps"; or "class", "directory", "aliases", "transport"
	Key    string // what was asked: the key that matched, or the address
	Result string // what came of it
}

// tell notes a rule. Where every recipient comes by, the caller looks first whether there is a Note to make texts for.
func (q *Query) tell(rule, key, result string) {
	if q.Note != nil {
		q.Note(Note{rule, key, result})
	}
}

// Router makes plans. It is safe for concurrent use; nothing of it changes.
type Router struct {
	Directory Directory
	Expander  Expander // nil: there is none
	Rules     Rules
}

// ErrRelay refuses a recipient elsewhere from a client that may not relay. It names the mend.
var ErrRelay = status.Perm(554, 7, 1, "Relay access denied: not a domain of this system; our users send through the submission ports")

var errNowhere = status.Perm(550, 1, 1, "Recipient address has no destination")

// Recipient decides the way for one envelope recipient. The recipients' numbers are left zero; Plan sets them.
func (r *Router) Recipient(ctx context.Context, q Query) ([]flow.Recipient, error) {
	x := &walk{Router: r, query: &q}
	return x.run(ctx)
}
