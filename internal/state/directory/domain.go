package directory

import (
	"context"
	"strings"

	"github.com/postrider/postrider/internal/mail/address"
)

// maxDelimiters bounds how many characters may begin an address extension.
const maxDelimiters = 8

// AddDomain makes a domain ours, in the default tenant and with the default delimiter.
func (d *Directory) AddDomain(ctx context.Context, name string) (Domain, error) {
	canon, err := canonicalDomain(name)
	if err != nil {
		return Domain{}, err
	}
	dom := Domain{Name: canon, Tenant: DefaultTenant, Delimiter: DefaultDelimiter, Created: d.opt.Now()}
	err = d.update(ctx, func(t tables) error {
		if _, found, err := t.domain(canon); err != nil {
			return err
		} else if found {
			return fail(ErrExists, "the domain %s exists already", address.DisplayDomain(canon))
		}
		return t.putDomain(dom)
	})
	return dom, err
}

// DomainChange says what SetDomain changes; nil leaves a setting as it is.
type DomainChange struct {
	CatchAll  *address.Address // the zero Address: none
	Delimiter *string          // "": none
}

// SetDomain changes the settings of a domain and returns what it is then.
func (d *Directory) SetDomain(ctx context.Context, name string, c DomainChange) (dom Domain, err error) {
	canon, err := canonicalDomain(name)
	if err != nil {
		return Domain{}, err
	}
	if c.Delimiter != nil {
		if err := checkDelimiter(*c.Delimiter); err != nil {
			return Domain{}, err
		}
	}
	err = d.update(ctx, func(t tables) error {
		if dom, err = needDomain(t, canon); err != nil {
			return err
		}
		if c.Delimiter != nil {
			dom.Delimiter = *c.Delimiter
		}
		if c.CatchAll != nil {
			dom.CatchAll = *c.CatchAll
			if !dom.CatchAll.IsZero() {
				if err := d.checkTarget(t, dom.CatchAll); err != nil {
					return err
				}
			}
		}
		if err := t.putDomain(dom); err != nil {
			return err
		}
		if c.CatchAll == nil || dom.CatchAll.IsZero() {
			return nil
		}
		return d.checkExpansion(t, dom.CatchAll)
	})
	return dom, err
}

// RemoveDomain makes a domain a stranger's. It must be empty.
func (d *Directory) RemoveDomain(ctx context.Context, name string) error {
	canon, err := canonicalDomain(name)
	if err != nil {
		return err
	}
	return d.update(ctx, func(t tables) error {
		if _, err := needDomain(t, canon); err != nil {
			return err
		}
		accounts, err := t.accounts(canon)
		if err != nil {
			return err
		}
		aliases, err := t.aliases(canon)
		if err != nil {
			return err
		}
		if len(accounts)+len(aliases) > 0 {
			return fail(ErrInUse, "the domain %s still has %d accounts and %d aliases", address.DisplayDomain(canon),
				len(accounts), len(aliases))
		}
		return t.deleteDomain(canon)
	})
}

// ListDomains returns the domains of a tenant, of all for 0, by name.
func (d *Directory) ListDomains(ctx context.Context, tenant int64) (list []Domain, err error) {
	err = d.store.view(ctx, func(t tables) error {
		all, err := t.domains()
		for _, dom := range all {
			if tenant == 0 || dom.Tenant == tenant {
				list = append(list, dom)
			}
		}
		return err
	})
	return list, err
}

// Domain returns one domain.
func (d *Directory) Domain(ctx context.Context, name string) (dom Domain, err error) {
	canon, err := canonicalDomain(name)
	if err != nil {
		return Domain{}, err
	}
	err = d.store.view(ctx, func(t tables) error {
		dom, err = needDomain(t, canon)
		return err
	})
	return dom, err
}

func canonicalDomain(name string) (string, error) {
	canon, err := address.CanonicalDomain(name)
	if err != nil || strings.HasPrefix(canon, "[") {
		return "", fail(ErrInvalid, "%q is not a domain name", name)
	}
	return canon, nil
}

func checkDelimiter(s string) error {
	if len(s) > maxDelimiters {
		return fail(ErrInvalid, "at most %d delimiters", maxDelimiters)
	}
	for i := 0; i < len(s); i++ {
		if !strings.ContainsRune("!#$%&*+-/=^_|~.", rune(s[i])) {
			return fail(ErrInvalid, "%q cannot be a delimiter", s[i:i+1])
		}
	}
	return nil
}

// needDomain returns a domain or an error that tells which there are.
func needDomain(t tables, canon string) (Domain, error) {
	dom, found, err := t.domain(canon)
	if err != nil || found {
		return dom, err
	}
	all, err := t.domains()
	if err != nil {
		return dom, err
	}
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = address.DisplayDomain(o.Name)
	}
	return dom, fail(ErrNotFound, "no such domain %s; domains are: %s", address.DisplayDomain(canon), listed(names))
}
