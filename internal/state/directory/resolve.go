package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// Bounds of alias expansion.
const (
	MaxDepth   = 10   // aliases that lead to aliases
	MaxTargets = 1000 // final targets of one address, and targets of one alias
)

// Target is one final recipient of an address.
type Target struct {
	Account   int64           // 0: elsewhere
	Address   address.Address // of the account without extension, or the address elsewhere, unchanged
	Extension string          // what followed the delimiter: "lists" in alice+lists@; "" for none
}

// Match says by which rule an address was found.
type Match uint8

const (
	MatchNone     Match = iota
	MatchAccount        // the address of an account, with or without an extension
	MatchAlias          // the address of an alias, with or without an extension
	MatchRole           // postmaster@ or abuse@, taken by the host's postmaster
	MatchCatchAll       // the domain's catch-all
)

// Resolution is what an address leads to.
type Resolution struct {
	Ours    bool     // the domain is ours; if not, the rest is empty
	Match   Match    // of the address itself
	Targets []Target // without repetition; must not be changed
}

// Resolve tells where mail for a goes. For an unknown user of our domain it is ErrUnknownUser; ErrAliases, and anything
// that keeps the directory from answering, is temporary. "postmaster" without a domain is the host's (RFC 5321 §4.5.1).
// What was asked lately is answered without a query.
func (d *Directory) Resolve(ctx context.Context, a address.Address) (Resolution, error) {
	if a.IsPostmaster() {
		a.Domain = d.opt.HostDomain
	}
	domains, generation, err := d.ourDomains(ctx)
	if err != nil {
		return Resolution{}, temporary("domains", err)
	}
	if _, ours := domains[a.Domain]; !ours {
		return Resolution{}, nil
	}
	if r, err, found := d.cache.get(a); found {
		return r, err
	}
	x := expander{host: d.opt.HostDomain}
	err = d.store.view(ctx, func(t tables) error {
		x = expander{tables: t, host: d.opt.HostDomain}
		return x.resolve(a, nil)
	})
	r := Resolution{Ours: true, Match: x.match, Targets: x.targets}
	switch {
	case err == nil:
		if x.problem != "" {
			d.log.Warn("an alias leads to nobody", "address", a.String(), "problem", x.problem)
		}
	case errors.Is(err, ErrAliases):
		d.log.Error("alias expansion failed", "address", a.String(), "problem", x.problem)
		r, err = Resolution{Ours: true}, ErrAliases.With(x.problem, nil)
	case status.IsPermanent(err):
		r = Resolution{Ours: true}
	default:
		return Resolution{Ours: true}, temporary("resolve", err) // not remembered
	}
	d.cache.put(a, r, err, generation)
	return r, err
}

// OwnsAddress tells whether an account may send as a: its own address, an alias that leads to it, each with or without an
// extension. A catch-all makes nobody the owner of a domain.
func (d *Directory) OwnsAddress(ctx context.Context, account int64, a address.Address) (bool, error) {
	r, err := d.Resolve(ctx, a)
	if err != nil {
		if status.IsPermanent(err) {
			err = nil
		}
		return false, err
	}
	if r.Match != MatchAccount && r.Match != MatchAlias {
		return false, nil
	}
	return slices.ContainsFunc(r.Targets, func(t Target) bool { return t.Account == account && account != 0 }), nil
}

// Ours tells whether a domain (A-labels) is one of ours.
func (d *Directory) Ours(ctx context.Context, domain string) (bool, error) {
	domains, _, err := d.ourDomains(ctx)
	if err != nil {
		return false, err
	}
	_, ok := domains[domain]
	return ok, nil
}

// Tenant tells whose a domain (A-labels) is, if it is one of ours. The error is a temporary one.
func (d *Directory) Tenant(ctx context.Context, domain string) (tenant int64, ours bool, err error) {
	domains, _, err := d.ourDomains(ctx)
	if err != nil {
		return 0, false, temporary("domains", err)
	}
	dom, ours := domains[domain]
	return dom.Tenant, ours, nil
}

// ourDomains returns the domains by name, and the generation of what it read.
func (d *Directory) ourDomains(ctx context.Context) (map[string]Domain, uint64, error) {
	m, generation := d.cache.domainMap()
	if m != nil {
		return m, generation, nil
	}
	var list []Domain
	err := d.store.view(ctx, func(t tables) (err error) { list, err = t.domains(); return err })
	if err != nil {
		return nil, 0, err
	}
	m = make(map[string]Domain, len(list))
	for _, dom := range list {
		m[dom.Name] = dom
	}
	d.cache.putDomains(m, generation)
	return m, generation, nil
}

// isRole tells whether a local part is one that every domain must answer for: RFC 5321 §4.5.1, RFC 2142 §2.
func isRole(local string) bool {
	return strings.EqualFold(local, "postmaster") || strings.EqualFold(local, "abuse")
}

// entry is what an address is, before expansion.
type entry struct {
	account   Account
	alias     Alias
	isAlias   bool
	extension string
}

// lookup finds the entry of an address in a domain of ours: exactly, else without its extension.
func lookup(t tables, dom Domain, a address.Address) (e entry, found bool, err error) {
	if e, found, err = exact(t, a); err != nil || found {
		return e, found, err
	}
	base, extension, ok := address.SplitDelimiter(a.Local, dom.Delimiter)
	if !ok {
		return entry{}, false, nil
	}
	e, found, err = exact(t, address.Address{Local: base, Domain: a.Domain})
	e.extension = extension
	return e, found, err
}

func exact(t tables, a address.Address) (e entry, found bool, err error) {
	key := a.Key()
	if e.alias, found, err = t.alias(key); err != nil || found {
		e.isAlias = true
		return e, found, err
	}
	e.account, found, err = t.account(key)
	return e, found, err
}

// expander follows one address to its final targets.
type expander struct {
	tables  tables
	host    string
	targets []Target
	seen    map[Target]bool
	match   Match  // of the first address
	problem string // for the operator: a loop with its path, a target that is nobody
}

// resolve adds the targets of a. path has the aliases that led here.
func (x *expander) resolve(a address.Address, path []address.Address) error {
	dom, ours, err := x.tables.domain(a.Domain)
	if err != nil {
		return err
	}
	if !ours {
		return x.add(Target{Address: a})
	}
	e, found, err := lookup(x.tables, dom, a)
	if err != nil {
		return err
	}
	if found {
		return x.follow(e, path)
	}
	// A role address before the catch-all: whoever complains to postmaster@ shall reach a postmaster.
	host := address.Address{Local: "postmaster", Domain: x.host}
	if isRole(a.Local) && x.host != "" && !host.Equal(a) {
		// The host's postmaster first, and by its entry only: its own fallback would lead back here.
		hostDomain, ours, err := x.tables.domain(x.host)
		if err != nil {
			return err
		}
		if ours {
			if e, found, err = lookup(x.tables, hostDomain, host); err != nil {
				return err
			}
		}
		if found {
			x.setMatch(MatchRole, path)
			return x.follow(e, path)
		}
	}
	if !dom.CatchAll.IsZero() && !dom.CatchAll.Equal(a) {
		x.setMatch(MatchCatchAll, path)
		return x.down(a, []address.Address{dom.CatchAll}, path)
	}
	return ErrUnknownUser
}

func (x *expander) setMatch(m Match, path []address.Address) {
	if x.match == MatchNone && len(path) == 0 {
		x.match = m
	}
}

func (x *expander) follow(e entry, path []address.Address) error {
	if !e.isAlias {
		x.setMatch(MatchAccount, path)
		return x.add(Target{Account: e.account.ID, Address: e.account.Address, Extension: e.extension})
	}
	x.setMatch(MatchAlias, path)
	return x.down(e.alias.Address, e.alias.Targets, path)
}

// down follows the targets of one alias. An alias that leads to itself means the account of the same address.
func (x *expander) down(from address.Address, targets, path []address.Address) error {
	if i := slices.IndexFunc(path, from.Equal); i >= 0 {
		x.problem = "alias loop: " + arrows(append(path[i:len(path):len(path)], from))
		return ErrAliases
	}
	path = append(path[:len(path):len(path)], from)
	if len(path) > MaxDepth {
		x.problem = fmt.Sprintf("more than %d aliases lead to one another: %s", MaxDepth, arrows(path))
		return ErrAliases
	}
	before := len(x.targets)
	dead := 0
	for _, target := range targets {
		var err error
		if target.Equal(from) {
			err = x.self(from)
		} else {
			err = x.resolve(target, path)
		}
		if status.IsPermanent(err) {
			// A member that is nobody must not keep the others from their mail.
			dead++
			x.problem = fmt.Sprintf("%s leads to %s, which is nobody", from, target)
			continue
		}
		if err != nil {
			return err
		}
	}
	if dead == len(targets) && len(x.targets) == before {
		return ErrAliases
	}
	return nil
}

// self adds the account that has the same address as the alias.
func (x *expander) self(a address.Address) error {
	acc, found, err := x.tables.account(a.Key())
	if err != nil {
		return err
	}
	if !found {
		return ErrUnknownUser
	}
	return x.add(Target{Account: acc.ID, Address: acc.Address})
}

func (x *expander) add(t Target) error {
	if x.seen == nil {
		x.seen = make(map[Target]bool)
	}
	same := t
	same.Extension = "" // one copy per account
	if x.seen[same] {
		return nil
	}
	if len(x.targets) >= MaxTargets {
		x.problem = fmt.Sprintf("more than %d targets", MaxTargets)
		return ErrAliases
	}
	x.seen[same] = true
	x.targets = append(x.targets, t)
	return nil
}

func arrows(path []address.Address) string {
	words := make([]string, len(path))
	for i, a := range path {
		words[i] = a.String()
	}
	return strings.Join(words, " → ")
}
