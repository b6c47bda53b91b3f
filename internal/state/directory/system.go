package directory

import (
	"context"

	"github.com/postrider/postrider/internal/mail/address"
)

// SystemUsers checks the passwords of system users. Its answer may come from another process, and late: an error is
// temporary, and says for the log what is missing.
type SystemUsers interface {
	CheckPassword(ctx context.Context, user, password string) (fits bool, err error)
}

// Passwords of system users are not hashed here, so they have a lane of their own: a helper that hangs must not keep the
// others out.
const (
	systemLane  = 8
	systemQueue = 64
)

// SystemUser returns the system user whose password is an account's, "" for an account with a password of its own.
func (d *Directory) SystemUser(ctx context.Context, a address.Address) (user string, err error) {
	err = d.store.view(ctx, func(t tables) error {
		acc, err := needAccount(t, a)
		if err == nil {
			user, _, err = t.credential(acc.ID, kindSystem)
		}
		return err
	})
	return user, err
}

// checkSystemUser keeps what cannot be a system user's name out.
func checkSystemUser(user string) error {
	if len(user) > maxLogin {
		return fail(ErrInvalid, "the name of the system user is longer than %d bytes", maxLogin)
	}
	for _, r := range user {
		if r <= ' ' || r == ':' || r == '/' || r == 0x7f {
			return fail(ErrInvalid, "%q is not the name of a system user", user)
		}
	}
	return nil
}

type systemLogin struct {
	acc      Account
	user     string
	password string // as the client sent it
	who      party
}

// authenticateSystem asks the system. Nothing is stored; what fits is remembered like any other login.
func (d *Directory) authenticateSystem(ctx context.Context, l systemLogin, remember func() error) (Account, error) {
	if d.opt.System == nil {
		d.log.Error("an account has its password with the system, and nothing here asks for those", "account", l.acc.ID)
		return Account{}, ErrBusy
	}
	var fits bool
	var failed error
	if err := d.outside.run(ctx, l.who, func() { fits, failed = d.opt.System.CheckPassword(ctx, l.user, l.password) }); err != nil {
		return Account{}, err
	}
	switch {
	case failed != nil:
		d.log.Error("the password of a system user cannot be checked", "account", l.acc.ID, "user", l.user, "err", failed)
		return Account{}, ErrBusy.With("system password", failed)
	case !fits:
		return Account{}, ErrCredentials
	}
	return l.acc, remember()
}
