package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
)

// Healthy tells whether the node does its work: the disk has not failed, the embedded database's one writer and a
// reader answer before ctx ends, and every listener accepts. A full disk is not unhealthy: starting again does not make
// room.
func (n *Node) Healthy(ctx context.Context) error {
	if err := n.readiness(); err != nil {
		return err
	}
	nothing := func(*db.Tx) error { return nil }
	if err := silent(n.config.Load().Database.Engine, n.db.Write(ctx, nothing), n.db.Read(ctx, nothing)); err != nil {
		return err
	}
	if service := n.services.ended.Load(); service != nil {
		return fmt.Errorf("the listener for %s has ended", *service)
	}
	return nil
}

// silent tells, from what an empty write and an empty read came to, whether the database of this process does not answer.
// A PostgreSQL server that is away is not this process's fault, and starting again would not bring it back: mail is
// refused for now, and the sessions go on.
func silent(engine string, write, read error) error {
	if engine == "postgres" {
		return nil
	}
	if errors.Is(write, status.ErrNoSpace) {
		write = nil // an answer, meant for those that were in the same transaction
	}
	if err := errors.Join(write, read); err != nil {
		return fmt.Errorf("the database does not answer: %w", err)
	}
	return nil
}

// checkHelper warns when the helper, which the configuration needs, is not there yet. It may come later.
func (n *Node) checkHelper(ctx context.Context) {
	c := n.config.Load()
	if !c.Helper.Enabled {
		return
	}
	if err := helperOf(c).Ping(ctx); err != nil {
		n.log.Warn("what needs the helper fails for now, and is tried again each time: start postrider-helper.socket, or postrider privhelper",
			"err", err)
	}
}
