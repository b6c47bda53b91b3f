package directory

import (
	"context"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
)

// AddAlias makes an alias that is not there yet. Its address may be that of an account: the alias then goes first, and
// the account gets mail only if it is a target too.
func (d *Directory) AddAlias(ctx context.Context, a address.Address, targets []address.Address) (Alias, error) {
	return d.putAlias(ctx, a, targets, true)
}

// SetAlias replaces the targets of an alias, and makes it if it is not there.
func (d *Directory) SetAlias(ctx context.Context, a address.Address, targets []address.Address) (Alias, error) {
	return d.putAlias(ctx, a, targets, false)
}

func (d *Directory) putAlias(ctx context.Context, a address.Address, targets []address.Address, fresh bool) (Alias, error) {
	a, err := checkAddress(a)
	if err != nil {
		return Alias{}, err
	}
	al := Alias{Address: a, Created: d.opt.Now()}
	if al.Targets, err = checkTargets(targets); err != nil {
		return Alias{}, err
	}
	err = d.update(ctx, func(t tables) error {
		dom, err := needDomain(t, a.Domain)
		if err != nil {
			return err
		}
		al.Tenant = dom.Tenant
		old, found, err := t.alias(a.Key())
		if err != nil {
			return err
		}
		if found {
			if fresh {
				return fail(ErrExists, "the alias %s exists already; it leads to %s", a.Display(), displayed(old.Targets))
			}
			al.Created = old.Created
		}
		for _, target := range al.Targets {
			if target.Key() == a.Key() {
				if _, isAccount, err := t.account(a.Key()); err != nil {
					return err
				} else if !isAccount {
					return fail(ErrInvalid, "the alias %s leads to itself, and there is no account of that address", a.Display())
				}
				continue
			}
			if err := d.checkTarget(t, target); err != nil {
				return err
			}
		}
		if err := t.putAlias(al); err != nil {
			return err
		}
		return d.checkExpansion(t, a)
	})
	return al, err
}

// RemoveAlias removes an alias. It fails while another alias or a catch-all leads to it.
func (d *Directory) RemoveAlias(ctx context.Context, a address.Address) error {
	return d.update(ctx, func(t tables) error {
		if _, err := needAlias(t, a); err != nil {
			return err
		}
		if _, isAccount, err := t.account(a.Key()); err != nil {
			return err
		} else if !isAccount { // else the account keeps the address alive
			if err := refuseIfTarget(t, a.Key(), "alias"); err != nil {
				return err
			}
		}
		return t.deleteAlias(a.Key())
	})
}

// Alias returns one alias.
func (d *Directory) Alias(ctx context.Context, a address.Address) (al Alias, err error) {
	err = d.store.view(ctx, func(t tables) error {
		al, err = needAlias(t, a)
		return err
	})
	return al, err
}

// ListAliases returns the aliases of a domain, of all domains for "", by address.
func (d *Directory) ListAliases(ctx context.Context, domain string) (list []Alias, err error) {
	canon := ""
	if domain != "" {
		if canon, err = canonicalDomain(domain); err != nil {
			return nil, err
		}
	}
	err = d.store.view(ctx, func(t tables) error {
		if canon != "" {
			if _, err := needDomain(t, canon); err != nil {
				return err
			}
		}
		list, err = t.aliases(canon)
		return err
	})
	return list, err
}

func needAlias(t tables, a address.Address) (Alias, error) {
	al, found, err := t.alias(a.Key())
	if err != nil || found {
		return al, err
	}
	if _, err := needDomain(t, a.Domain); err != nil {
		return al, err
	}
	all, err := t.aliases(a.Domain)
	if err != nil {
		return al, err
	}
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.Address.Display()
	}
	return al, fail(ErrNotFound, "no such alias %s; aliases of %s are: %s", a.Display(),
		address.DisplayDomain(a.Domain), listed(names))
}

// checkTargets brings targets to their canonical form and drops repetitions.
func checkTargets(targets []address.Address) ([]address.Address, error) {
	if len(targets) == 0 {
		return nil, fail(ErrInvalid, "an alias needs at least one target")
	}
	if len(targets) > MaxTargets {
		return nil, fail(ErrInvalid, "%d targets; an alias has at most %d", len(targets), MaxTargets)
	}
	out := make([]address.Address, 0, len(targets))
	seen := make(map[address.Address]bool, len(targets))
	for _, target := range targets {
		c, err := checkAddress(target)
		if err != nil {
			return nil, err
		}
		if !seen[c] {
			seen[c] = true
			out = append(out, c)
		}
	}
	return out, nil
}

// checkTarget refuses a target in one of our domains that nobody receives.
func (d *Directory) checkTarget(t tables, target address.Address) error {
	dom, ours, err := t.domain(target.Domain)
	if err != nil || !ours {
		return err
	}
	_, found, err := lookup(t, dom, target)
	if err == nil && !found && !isRole(target.Local) && dom.CatchAll.IsZero() {
		err = fail(ErrNotFound, "no such account or alias %s", target.Display())
	}
	return err
}

// checkExpansion refuses a change after which a would lead in a circle, too deep or too wide.
func (d *Directory) checkExpansion(t tables, a address.Address) error {
	x := expander{tables: t, host: d.opt.HostDomain}
	if err := x.resolve(a, nil); err != nil {
		if x.problem != "" {
			return fail(ErrInvalid, "%s", x.problem)
		}
		return err
	}
	return nil
}

// refuseIfTarget refuses the removal of an address that something leads to.
func refuseIfTarget(t tables, key, what string) error {
	from, err := t.aliasesTo(key)
	if err != nil {
		return err
	}
	var names []string
	for _, al := range from {
		if al.Address.Key() != key {
			names = append(names, "the alias "+al.Address.Display())
		}
	}
	domains, err := t.domains()
	if err != nil {
		return err
	}
	for _, dom := range domains {
		if !dom.CatchAll.IsZero() && dom.CatchAll.Key() == key {
			names = append(names, "the catch-all of "+address.DisplayDomain(dom.Name))
		}
	}
	if len(names) > 0 {
		return fail(ErrInUse, "the %s is still a target of %s", what, listed(names))
	}
	return nil
}

func displayed(list []address.Address) string {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = a.Display()
	}
	return strings.Join(names, ", ")
}
