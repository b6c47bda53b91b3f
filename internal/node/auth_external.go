package node

import (
	"context"
	"errors"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// external answers for the name in a client's certificate (SASL EXTERNAL): the account of exactly that address, if it may
// log in. An alias is no account.
func (n *Node) external(ctx context.Context, name string) (sasl.Identity, error) {
	a, err := address.Parse(name, true)
	if err != nil {
		return sasl.Identity{}, sasl.ErrCredentials.With("certificate", err)
	}
	acc, err := n.directory.Account(ctx, a)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return sasl.Identity{}, sasl.ErrCredentials.With("certificate", err)
	case err != nil:
		return sasl.Identity{}, err
	case acc.NoLogin:
		return sasl.Identity{}, sasl.ErrCredentials
	}
	return sasl.Identity{Account: acc.ID, Name: acc.Address.String()}, nil
}
