package directory

import (
	"context"
	"errors"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/address"
)

// maxPassword bounds what is hashed, in bytes.
const maxPassword = 1024

// NewAccount is what AddAccount makes an account from.
type NewAccount struct {
	Address  address.Address
	Password string // "" only with NoLogin, Stored or System
	Stored   string // the password as another mail system stored it: see package crypt
	System   string // the system user whose password it is
	NoLogin  bool
}

// AddAccount makes an account in one of our domains.
func (d *Directory) AddAccount(ctx context.Context, n NewAccount) (Account, error) {
	a, err := checkAddress(n.Address)
	if err != nil {
		return Account{}, err
	}
	var secrets secrets
	switch {
	case n.Stored != "":
		if secrets, err = d.adopt(ctx, n.Stored); err != nil {
			return Account{}, err
		}
	case n.System != "":
		if err := checkSystemUser(n.System); err != nil {
			return Account{}, err
		}
		secrets.system = n.System
	case n.Password != "" || !n.NoLogin:
		if secrets, err = d.derive(ctx, n.Password); err != nil {
			return Account{}, err
		}
	}
	acc := Account{Address: a, NoLogin: n.NoLogin, Created: d.opt.Now()}
	err = d.update(ctx, func(t tables) error {
		dom, err := needDomain(t, a.Domain)
		if err != nil {
			return err
		}
		if _, found, err := t.account(a.Key()); err != nil {
			return err
		} else if found {
			return fail(ErrExists, "the account %s exists already", a.Display())
		}
		acc.Tenant = dom.Tenant
		if acc.ID, err = t.nextAccount(); err != nil {
			return err
		}
		return errors.Join(t.putAccount(acc), putSecrets(t, acc.ID, secrets))
	})
	return acc, err
}

// SetPassword replaces an account's password. Logins remembered of the old one are forgotten.
func (d *Directory) SetPassword(ctx context.Context, a address.Address, password string) error {
	secrets, err := d.derive(ctx, password)
	if err != nil {
		return err
	}
	return d.changeAccount(ctx, a, func(t tables, acc Account) error { return putSecrets(t, acc.ID, secrets) })
}

// SetNoLogin says whether an account only receives mail.
func (d *Directory) SetNoLogin(ctx context.Context, a address.Address, noLogin bool) error {
	return d.changeAccount(ctx, a, func(t tables, acc Account) error {
		if has, err := hasPassword(t, acc.ID); err != nil {
			return err
		} else if !has && !noLogin {
			return fail(ErrInvalid, "the account %s has no password; set one first", acc.Address.Display())
		}
		acc.NoLogin = noLogin
		return t.putAccount(acc)
	})
}

// RemoveAccount removes an account and returns what it was: its mail is the caller's business. It fails while an alias or
// a catch-all leads to it.
func (d *Directory) RemoveAccount(ctx context.Context, a address.Address) (acc Account, err error) {
	err = d.changeAccount(ctx, a, func(t tables, found Account) error {
		acc = found
		key := acc.Address.Key()
		if _, shadowed, err := t.alias(key); err != nil {
			return err
		} else if !shadowed { // else the alias keeps the address alive
			if err := refuseIfTarget(t, key, "account"); err != nil {
				return err
			}
		}
		return t.deleteAccount(acc.ID)
	})
	return acc, err
}

// changeAccount runs fn on an existing account and forgets its logins, whatever came of it.
func (d *Directory) changeAccount(ctx context.Context, a address.Address, fn func(tables, Account) error) error {
	var id int64
	err := d.update(ctx, func(t tables) error {
		acc, err := needAccount(t, a)
		if err != nil {
			return err
		}
		id = acc.ID
		return fn(t, acc)
	})
	if id != 0 {
		d.auth.forget(id)
	}
	return err
}

// ListAccounts returns the accounts of a domain, of all domains for "", by address.
func (d *Directory) ListAccounts(ctx context.Context, domain string) (list []Account, err error) {
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
		list, err = t.accounts(canon)
		return err
	})
	return list, err
}

// Account returns the account of exactly this address: no alias, no extension.
func (d *Directory) Account(ctx context.Context, a address.Address) (acc Account, err error) {
	err = d.store.view(ctx, func(t tables) error {
		acc, err = needAccount(t, a)
		return err
	})
	return acc, err
}

// AccountByID returns an account by its id.
func (d *Directory) AccountByID(ctx context.Context, id int64) (acc Account, err error) {
	err = d.store.view(ctx, func(t tables) error {
		var found bool
		if acc, found, err = t.accountByID(id); err == nil && !found {
			err = fail(ErrNotFound, "no account has the id %d", id)
		}
		return err
	})
	return acc, err
}

func needAccount(t tables, a address.Address) (Account, error) {
	acc, found, err := t.account(a.Key())
	if err != nil || found {
		return acc, err
	}
	if _, err := needDomain(t, a.Domain); err != nil {
		return acc, err
	}
	if _, isAlias, err := t.alias(a.Key()); err != nil {
		return acc, err
	} else if isAlias {
		return acc, fail(ErrNotFound, "%s is an alias, not an account", a.Display())
	}
	all, err := t.accounts(a.Domain)
	if err != nil {
		return acc, err
	}
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.Address.Display()
	}
	return acc, fail(ErrNotFound, "no such account %s; accounts of %s are: %s", a.Display(),
		address.DisplayDomain(a.Domain), listed(names))
}

// checkAddress brings an address that will be ours to its canonical form.
func checkAddress(a address.Address) (address.Address, error) {
	if a.Domain == "" || a.Local == "" {
		return a, fail(ErrInvalid, "%q is not an address with a domain", a.String())
	}
	out, err := address.New(a.Local, a.Domain)
	if err != nil {
		return a, fail(ErrInvalid, "%q: %v", a.String(), err)
	}
	return out, nil
}

func checkPassword(p string) error {
	switch {
	case p == "":
		return fail(ErrInvalid, "the password is empty")
	case len(p) > maxPassword:
		return fail(ErrInvalid, "the password is longer than %d bytes", maxPassword)
	case !utf8.ValidString(p):
		return fail(ErrInvalid, "the password is not UTF-8")
	}
	for _, r := range p {
		if r == 0 || r == '\r' || r == '\n' {
			return fail(ErrInvalid, "the password contains a line break or NUL")
		}
	}
	return nil
}
