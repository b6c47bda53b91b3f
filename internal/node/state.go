package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/vfs"
)

// nodeNumber is this node's; clusters will have more.
const nodeNumber = 1

// openState opens everything durable below the data directory, in the order of dependence.
func (n *Node) openState(ctx context.Context, c *config.Config) (err error) {
	if n.lock, err = lockDir(c.DataDir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.closeState(ctx))
		}
	}()
	boot, err := n.openDatabase(ctx, c)
	if err != nil {
		return err
	}
	n.ids = queueid.NewSource(n.opt.Now, boot.Node, boot.Count)
	n.openTrace(c, boot.Count)
	packs := filepath.Join(c.DataDir, "packs")
	if err := os.MkdirAll(packs, 0o700); err != nil {
		return err
	}
	if n.blobs, err = blob.Open(ctx, blob.Options{FS: vfs.OS{}, Dir: packs, Node: nodeNumber, Epoch: int64(boot.Count), Clock: n.opt.Now,
		Installation: installationOf(boot.Installation), Catalog: newCatalog(n.db), Log: n.log.Logger, Fatal: n.fail,
		PackSize: n.opt.Sizes.Pack, Fill: n.opt.Sizes.Fill}); err != nil {
		return fmt.Errorf("open the packs: %w", err)
	}
	if n.directory, err = directory.New(ctx, n.db, directory.Options{HostDomain: c.Domain, Now: n.opt.Now, Log: n.log.Logger,
		Lane: passwordChecks(c), System: systemAuth{&n.config}}); err != nil {
		return fmt.Errorf("open the directory: %w", err)
	}
	n.store = mailstore.New(mailstore.Options{DB: n.db, Blobs: n.blobs, Now: n.opt.Now, Referable: blob.CheckReferable})
	return n.firstStart(ctx, c)
}

// firstStart makes the host's own domain and its postmaster where they do not exist, and with them an alias for root, to
// whom cron and its like write. Who removes the alias is not given another.
func (n *Node) firstStart(ctx context.Context, c *config.Config) error {
	if _, err := n.directory.Domain(ctx, c.Domain); errors.Is(err, directory.ErrNotFound) {
		if _, err := n.directory.AddDomain(ctx, c.Domain); err != nil {
			return fmt.Errorf("make the host's domain: %w", err)
		}
	} else if err != nil {
		return err
	}
	postmaster := address.Address{Local: "postmaster", Domain: c.Domain}
	if _, err := n.directory.Account(ctx, postmaster); errors.Is(err, directory.ErrNotFound) {
		if _, err := n.addAccount(ctx, directory.NewAccount{Address: postmaster, NoLogin: true}); err != nil && !errors.Is(err, directory.ErrExists) {
			return fmt.Errorf("make the postmaster's account: %w", err)
		}
		root := address.Address{Local: "root", Domain: c.Domain}
		if _, err := n.directory.AddAlias(ctx, root, []address.Address{postmaster}); err != nil && !errors.Is(err, directory.ErrExists) {
			return fmt.Errorf("make root's alias: %w", err)
		}
	} else if err != nil {
		return err
	}
	return n.reconcileAccounts(ctx)
}

// reconcileAccounts gives mailboxes to accounts that have none, and ends removals that were begun: the process may have ended
// in between.
func (n *Node) reconcileAccounts(ctx context.Context) error {
	have, err := n.store.Accounts(ctx)
	if err != nil {
		return err
	}
	all, err := n.directory.ListAccounts(ctx, "")
	if err != nil {
		return err
	}
	known := make(map[int64]bool, len(have))
	for _, id := range have {
		known[id] = true
	}
	removing, err := n.store.Removing(ctx)
	if err != nil {
		return err
	}
	for _, id := range removing {
		finish := n.store.RemoveAccount
		if slices.ContainsFunc(all, func(a directory.Account) bool { return a.ID == id }) {
			finish = n.store.Abandoned
		}
		if err := finish(ctx, id); err != nil {
			return err
		}
	}
	for _, a := range all {
		if known[a.ID] {
			continue
		}
		n.log.Warn("account had no mailboxes; they are made now", obs.KeyAccount, a.Address.String())
		if err := n.store.CreateAccount(ctx, a.ID); err != nil {
			return err
		}
	}
	return nil
}

// addAccount makes an account and its mailboxes.
func (n *Node) addAccount(ctx context.Context, a directory.NewAccount) (directory.Account, error) {
	acc, err := n.directory.AddAccount(ctx, a)
	if err != nil {
		return acc, err
	}
	return acc, n.store.CreateAccount(ctx, acc.ID)
}

// closeState closes in the reverse order.
func (n *Node) closeState(ctx context.Context) error {
	var errs []error
	if n.trace != nil {
		n.trace.Close()
	}
	if n.blobs != nil {
		errs = append(errs, n.blobs.Close(ctx))
	}
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}
