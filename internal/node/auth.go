package node

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// authenticator answers the engines' logins from the directory.
type authenticator struct {
	directory *directory.Directory
	config    *atomic.Pointer[config.Config] // whose master users are in force
	service   string                         // "": the one that the engine names
	tries     tries
}

// tries hears of logins: before a password is looked at, which it may refuse, and how that ended.
type tries interface {
	mayTry(ctx context.Context, name string) error
	triedInVain(ctx context.Context, name, password string)
	triedWell(ctx context.Context, name string)
}

var _ tries = (*Node)(nil)

var _ sasl.Authenticator = (*authenticator)(nil)

// Password checks a user's password, or for "user*admin" admin's.
func (a *authenticator) Password(ctx context.Context, name, password string) (sasl.Identity, error) {
	if user, master, ok := a.splitMaster(name); ok {
		return a.PasswordAs(ctx, user, master, password)
	}
	return a.password(ctx, name, password)
}

func (a *authenticator) password(ctx context.Context, name, password string) (sasl.Identity, error) {
	o := sasl.OriginOf(ctx)
	if err := a.tries.mayTry(ctx, name); err != nil {
		return sasl.Identity{}, err
	}
	client := directory.Client{Remote: o.Remote.String(), Service: o.Service}
	if !a.config.Load().Limits.ExemptNetworks.Contains(o.Remote.Addr().Unmap()) {
		client.Site = site(o.Remote.Addr())
	}
	if a.service != "" {
		client.Service = a.service
	}
	acc, err := a.directory.Authenticate(ctx, name, password, client)
	if err != nil {
		if errors.Is(err, directory.ErrCredentials) {
			err = sasl.ErrCredentials
			a.tries.triedInVain(ctx, name, password)
		}
		return sasl.Identity{}, err
	}
	a.tries.triedWell(ctx, name)
	return sasl.Identity{Account: acc.ID, Name: acc.Address.String()}, nil
}

// Keys returns a user's keys, or for "user*admin" admin's.
func (a *authenticator) Keys(ctx context.Context, name string) (sasl.Keys, sasl.Identity, error) {
	if user, master, ok := a.splitMaster(name); ok {
		return a.masterKeys(ctx, user, master)
	}
	return a.keys(ctx, name)
}

// keys returns the zero Identity with the invented keys of somebody who cannot log in.
func (a *authenticator) keys(ctx context.Context, name string) (sasl.Keys, sasl.Identity, error) {
	if err := a.tries.mayTry(ctx, name); err != nil {
		return sasl.Keys{}, sasl.Identity{}, err
	}
	k, acc, err := a.directory.ScramCredentials(ctx, name)
	if err != nil {
		return sasl.Keys{}, sasl.Identity{}, err
	}
	keys := sasl.Keys{Salt: k.Salt, Iterations: k.Iterations, StoredKey: k.StoredKey, ServerKey: k.ServerKey}
	if acc.ID == 0 {
		return keys, sasl.Identity{}, nil
	}
	return keys, sasl.Identity{Account: acc.ID, Name: acc.Address.String()}, nil
}
