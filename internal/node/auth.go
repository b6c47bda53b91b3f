package node

import (
	"context"
	"errors"

	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// authenticator answers the engines' logins from the directory.
type authenticator struct {
	directory *directory.Directory
	service   string // "": the one that the engine names
}

var _ sasl.Authenticator = (*authenticator)(nil)

func (a *authenticator) Password(ctx context.Context, name, password string) (sasl.Identity, error) {
	o := sasl.OriginOf(ctx)
	client := directory.Client{Remote: o.Remote.String(), Service: o.Service}
	if a.service != "" {
		client.Service = a.service
	}
	acc, err := a.directory.Authenticate(ctx, name, password, client)
	if err != nil {
		if errors.Is(err, directory.ErrCredentials) {
			err = sasl.ErrCredentials
		}
		return sasl.Identity{}, err
	}
	return sasl.Identity{Account: acc.ID, Name: acc.Address.String()}, nil
}

func (a *authenticator) Keys(ctx context.Context, name string) (sasl.Keys, sasl.Identity, error) {
	k, acc, err := a.directory.ScramCredentials(ctx, name)
	if err != nil {
		return sasl.Keys{}, sasl.Identity{}, err
	}
	keys := sasl.Keys{Salt: k.Salt, Iterations: k.Iterations, StoredKey: k.StoredKey, ServerKey: k.ServerKey}
	return keys, sasl.Identity{Account: acc.ID, Name: acc.Address.String()}, nil
}
