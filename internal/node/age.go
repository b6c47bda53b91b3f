package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/vfs"
)

// ErrOldDatabase says that the database is from before what is known of it: a backup was put back. A start on it would give
// out UIDs again that clients know, and send what was sent.
var ErrOldDatabase = errors.New("the database is older than its packs")

// seenFile says, beside the packs, how far the database was seen: "boot tick". It is never ahead of what the database has
// durably, so a crash leaves it behind or equal; it is not synced, for it may be lost.
const seenFile = "database.seen"

// tickEvery is how often the database counts on while it is written to: changes of the last tick before a backup and its
// return may go unnoticed.
const tickEvery = 10 * time.Second

// oldDatabase tells why the database is older than what stands beside it; "": it is not.
func oldDatabase(ctx context.Context, d *db.DB, reader *blob.Reader, dir string) (why string, err error) {
	id, err := d.Installation(ctx)
	if err != nil || id == "" {
		return "", err
	}
	age, err := d.Age(ctx, nodeNumber)
	if err != nil {
		return "", err
	}
	seen, err := readSeen(filepath.Join(dir, seenFile))
	if err != nil {
		return "", err
	}
	if age.Before(seen) {
		return fmt.Sprintf("it has come to start %d, tick %d, and was seen at start %d, tick %d", age.Boot, age.Tick, seen.Boot, seen.Tick), nil
	}
	newest, err := newCatalog(d).Newest(ctx)
	if err != nil {
		return "", err
	}
	packs, err := reader.Packs()
	if err != nil {
		return "", err
	}
	for i := len(packs) - 1; i >= 0; i-- {
		h, err := reader.Head(packs[i])
		if err != nil || h.Node == 0 || h.Owner != (blob.Installation{}) && h.Owner != installationOf(id) {
			if packs[i] > newest {
				continue // a stranger's, or damaged: the check's business
			}
			return "", nil
		}
		switch {
		case packs[i] > newest:
			return fmt.Sprintf("it does not know pack %d; the newest that it knows is %d", packs[i], newest), nil
		case h.Epoch > age.Boot:
			return fmt.Sprintf("pack %d is of start %d, and it has come to start %d", packs[i], h.Epoch, age.Boot), nil
		}
		return "", nil // the newest is of the newest start
	}
	return "", nil
}

// refuseOld refuses to begin with a database from before what the packs have.
func (n *Node) refuseOld(ctx context.Context, dir string) (err error) {
	reader := blob.NewReader(vfs.OS{}, filepath.Join(dir, "packs"))
	defer func() { err = errors.Join(err, reader.Close()) }()
	why, err := oldDatabase(ctx, n.db, reader, dir)
	if err != nil || why == "" {
		return err
	}
	return fmt.Errorf("%s: %w: %s. A backup was put back? `postrider check --repair` brings it up to the packs", dir, ErrOldDatabase, why)
}

// readSeen returns zero where there is no file, or nothing to be understood in it.
func readSeen(path string) (a db.Age, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if n, _ := fmt.Sscanf(string(text), "%d %d\n", &a.Boot, &a.Tick); n != 2 || !strings.HasSuffix(string(text), "\n") {
		return db.Age{}, err
	}
	return a, err
}

// writeSeen replaces the file whole: a process that is killed leaves the old one or the new one.
func writeSeen(path string, a db.Age) error {
	if err := os.WriteFile(path+".new", fmt.Appendf(nil, "%d %d\n", a.Boot, a.Tick), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ageing notes how far the database has come, while it is written to.
type ageing struct {
	node   *Node
	path   string
	writes int64 // of the database, when it was last noted
	cancel context.CancelFunc
	done   chan struct{}
}

// startAgeing begins to note it.
func (n *Node) startAgeing(dir string) {
	ctx, cancel := context.WithCancel(context.Background())
	a := &ageing{node: n, path: filepath.Join(dir, seenFile), cancel: cancel, done: make(chan struct{})}
	n.ageing = a
	go func() {
		defer close(a.done)
		t := time.NewTicker(tickEvery)
		defer t.Stop()
		for {
			a.note(ctx)
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
		}
	}()
}

// note counts on if anything was written.
func (a *ageing) note(ctx context.Context) {
	if a.node.db.Stats().Writes == a.writes {
		return
	}
	age, err := a.node.db.Tick(ctx, nodeNumber)
	if err == nil {
		a.writes = a.node.db.Stats().Writes
		err = writeSeen(a.path, age)
	}
	if err != nil && ctx.Err() == nil {
		a.node.log.Warn("how far the database has come could not be noted; trying again", obs.KeyError, err)
	}
}

// stopAgeing notes it a last time.
func (n *Node) stopAgeing(ctx context.Context) {
	if n.ageing == nil {
		return
	}
	n.ageing.cancel()
	<-n.ageing.done
	n.ageing.note(ctx)
}
