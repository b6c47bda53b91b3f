package directory

import (
	"context"

	"github.com/postrider/postrider/internal/mail/address"
)

// Restore makes an account anew under the id that it had, and its domain where that is missing: of what a rebuild finds in
// the packs. Nobody can log in until it has a password. ErrExists: the id or the address is taken.
func (d *Directory) Restore(ctx context.Context, id int64, a address.Address) (acc Account, err error) {
	if a, err = checkAddress(a); err != nil {
		return acc, err
	}
	if id <= 0 {
		return acc, fail(ErrInvalid, "%d is not the id of an account", id)
	}
	acc = Account{ID: id, Address: a, Created: d.opt.Now()}
	err = d.update(ctx, func(t tables) error {
		dom, found, err := t.domain(a.Domain)
		if err != nil {
			return err
		}
		if !found {
			dom = Domain{Name: a.Domain, Tenant: DefaultTenant, Delimiter: DefaultDelimiter, Created: acc.Created}
			if err := t.putDomain(dom); err != nil {
				return err
			}
		}
		if _, found, err := t.accountByID(id); err != nil || found {
			return orExists(err, "the account %d exists already", id)
		}
		if _, found, err := t.account(a.Key()); err != nil || found {
			return orExists(err, "the account %s exists already", a.Display())
		}
		acc.Tenant = dom.Tenant
		if err := t.raiseNextAccount(id); err != nil {
			return err
		}
		return t.putAccount(acc)
	})
	return acc, err
}

func orExists(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fail(ErrExists, format, args...)
}
