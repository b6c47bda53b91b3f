package directory

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
)

// LastLogin says when an account was last logged in to by a service.
type LastLogin struct {
	Account int64
	Service string // listener's name: imaps, pop3s, submission, …
	At      time.Time
	Client  string // address that it came from
}

// RecordLogins notes last logins, all in one transaction; a later one replaces an earlier. Those of accounts that are gone
// are left out. What the directory remembers of addresses stays valid.
func (d *Directory) RecordLogins(ctx context.Context, list []LastLogin) error {
	return d.store.update(ctx, func(t tables) error {
		for _, l := range list {
			if _, found, err := t.accountByID(l.Account); err != nil {
				return err
			} else if !found {
				continue
			}
			if err := t.putLogin(l); err != nil {
				return err
			}
		}
		return nil
	})
}

// LastLogins returns the last logins of an account, of all accounts for 0, by account and service.
func (d *Directory) LastLogins(ctx context.Context, account int64) (list []LastLogin, err error) {
	err = d.store.view(ctx, func(t tables) error {
		list, err = t.logins(account)
		return err
	})
	return list, err
}

// LoginAddress reads a login name: one without a domain is in the host's. ok: somebody could have it.
func (d *Directory) LoginAddress(login string) (a address.Address, ok bool) {
	return d.loginAddress(login)
}

// LoginAccount returns the account that a login name means, whether or not somebody may log in to it. It takes the same
// time when there is none.
func (d *Directory) LoginAccount(ctx context.Context, login string) (acc Account, found bool, err error) {
	a, ok := d.loginAddress(login)
	err = d.store.view(ctx, func(t tables) error {
		acc, found, err = t.account(a.Key())
		return err
	})
	if err != nil {
		return Account{}, false, temporary("look up a login", err)
	}
	if !ok || !found {
		return Account{}, false, nil
	}
	return acc, true, nil
}
