package directory

import (
	"context"

	"github.com/postrider/postrider/internal/crypt"
	"github.com/postrider/postrider/internal/mail/address"
)

// Passwords in the stored form of another mail system: how accounts move here without anybody's password being known. The
// first login that fits gives us the password itself; from then on it is stored in our forms, and SCRAM works.

// SetStored replaces an account's password by one that another mail system stored; see package crypt for the forms. Logins
// remembered of the old one are forgotten.
func (d *Directory) SetStored(ctx context.Context, a address.Address, stored string) error {
	s, err := d.adopt(ctx, stored)
	if err != nil {
		return err
	}
	return d.changeAccount(ctx, a, func(t tables, acc Account) error { return putSecrets(t, acc.ID, s) })
}

// adopt checks that a stored password can be used, in the hashing lane.
func (d *Directory) adopt(ctx context.Context, stored string) (secrets, error) {
	var unusable error
	if err := d.lane.run(ctx, party{}, func() { unusable = crypt.Check(stored) }); err != nil {
		return secrets{}, err
	}
	if unusable != nil {
		return secrets{}, fail(ErrInvalid, "%v", unusable)
	}
	return secrets{foreign: stored}, nil
}

// hasPassword tells whether a password can be checked for the account.
func hasPassword(t tables, account int64) (bool, error) {
	for _, kind := range []string{kindArgon, kindForeign, kindSystem} {
		if _, found, err := t.credential(account, kind); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

type foreignLogin struct {
	acc      Account
	stored   string
	password string // as the client sent it
	who      party
}

// authenticateForeign checks a password against another system's form. The decoy costs what a user who is not there costs;
// the form itself comes on top, so that a slow one may still be told by its time.
func (d *Directory) authenticateForeign(ctx context.Context, l foreignLogin, remember func() error) (Account, error) {
	var fits bool
	var broken error
	if err := d.lane.run(ctx, l.who, func() {
		_, _ = checkArgon(decoyArgon(d.opt.Hash), l.password)
		fits, broken = crypt.Verify(l.stored, l.acc.Address.String(), l.password)
	}); err != nil {
		return Account{}, err
	}
	if broken != nil {
		d.log.Error("stored password is unusable", "account", l.acc.ID, "err", broken)
	}
	if !fits {
		return Account{}, ErrCredentials
	}
	if err := remember(); err != nil {
		return Account{}, err
	}
	d.own(ctx, l)
	return l.acc, nil
}

// own stores a password that has just fitted in our forms. What goes wrong is logged: the next login tries again.
func (d *Directory) own(ctx context.Context, l foreignLogin) {
	s, err := d.derive(ctx, l.password)
	if err == nil {
		err = d.update(ctx, func(t tables) error {
			now, _, err := t.credential(l.acc.ID, kindForeign)
			if err != nil || now != l.stored { // changed meanwhile: that one stands
				return err
			}
			return putSecrets(t, l.acc.ID, s)
		})
	}
	if err != nil {
		d.log.Warn("a password could not be stored in our forms", "account", l.acc.ID, "err", err)
	}
}
