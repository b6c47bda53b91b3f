package node

import (
	"context"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// masterSeparator stands between the account and the master user in a login name, "user*admin"; it is Dovecot's.
const masterSeparator = "*"

var _ sasl.Delegator = (*authenticator)(nil)

// splitMaster takes "user*admin" apart. It is a master login only if what follows the last "*" is a master user: accounts
// may have a "*" in their names (RFC 5322 §3.2.3).
func (a *authenticator) splitMaster(name string) (user, master string, ok bool) {
	i := strings.LastIndex(name, masterSeparator)
	if i < 1 || !a.isMaster(name[i+1:]) {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

// isMaster tells whether a login name is that of a master user, by the configuration in force.
func (a *authenticator) isMaster(name string) bool {
	addr, ok := a.directory.LoginAddress(name)
	return ok && slices.ContainsFunc(a.config.Load().Auth.MasterUsers, func(m string) bool {
		listed, ok := a.directory.LoginAddress(m)
		return ok && listed.Key() == addr.Key()
	})
}

// PasswordAs logs a master user in as another. The password is always checked, whatever else is wrong, so that all
// refusals take the same time.
func (a *authenticator) PasswordAs(ctx context.Context, user, name, password string) (sasl.Identity, error) {
	acc, found, err := a.directory.LoginAccount(ctx, user)
	if err != nil {
		return sasl.Identity{}, err
	}
	master, err := a.password(ctx, name, password)
	switch {
	case err != nil:
		return sasl.Identity{}, err
	case found && acc.ID == master.Account: // the same account, written in another way
		return master, nil
	case !a.isMaster(name):
		return sasl.Identity{}, sasl.ErrAuthzid
	case !found:
		return sasl.Identity{}, sasl.ErrCredentials
	}
	return sasl.Identity{Account: acc.ID, Name: acc.Address.String(), Master: master.Name}, nil
}

// masterKeys is Keys for "user*admin": admin's keys. For a user that does not exist they are the same, and nobody's.
func (a *authenticator) masterKeys(ctx context.Context, user, master string) (sasl.Keys, sasl.Identity, error) {
	acc, found, err := a.directory.LoginAccount(ctx, user)
	if err != nil {
		return sasl.Keys{}, sasl.Identity{}, err
	}
	keys, id, err := a.keys(ctx, master)
	if err != nil || id.IsZero() || !found {
		return keys, sasl.Identity{}, err
	}
	return keys, sasl.Identity{Account: acc.ID, Name: acc.Address.String(), Master: id.Name}, nil
}

// checkMasters warns of master users that cannot log in.
func (n *Node) checkMasters(ctx context.Context, c *config.Config) {
	for _, m := range c.Auth.MasterUsers {
		acc, found, err := n.directory.LoginAccount(ctx, m)
		switch {
		case err != nil:
			n.log.Warn("a master user could not be looked up", obs.KeyAccount, m, obs.KeyError, err)
		case !found:
			n.log.Warn("auth.master_users names somebody who has no account", obs.KeyAccount, m)
		case acc.NoLogin:
			n.log.Warn("auth.master_users names an account that nobody can log in to", obs.KeyAccount, m)
		}
	}
}
