package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/schema"
	"github.com/postrider/postrider/internal/vfs"
)

const (
	databaseFile = "store.db" // SQLite's
	databaseMark = "database" // on PostgreSQL: whose packs these are, the UUID of the installation
	maxURLFile   = 4 << 10
)

// openDatabase opens the engine that the configuration names and counts this start. Packs and rows belong together: a
// data directory is refused with another database than its own, and a database with another data directory.
func (n *Node) openDatabase(ctx context.Context, c *config.Config) (boot db.Boot, err error) {
	file, mark := filepath.Join(c.DataDir, databaseFile), filepath.Join(c.DataDir, databaseMark)
	opt := db.Options{Schema: schema.Store, Now: n.opt.Now, Log: n.log.Logger, Fatal: n.fail, CheckpointBytes: n.opt.Sizes.Checkpoint}
	whose, err := readMark(mark)
	if err != nil {
		return boot, err
	}
	if c.Database.Engine != "postgres" {
		if whose != "" {
			return boot, fmt.Errorf("%s has the messages of a database on PostgreSQL; set database.engine = \"postgres\" and its url", c.DataDir)
		}
		if err := refuseLostDatabase(c.DataDir); err != nil {
			return boot, err
		}
		if n.db, err = db.Open(ctx, file, opt); err != nil {
			return boot, fmt.Errorf("open the database: %w", err)
		}
		if err := n.refusePacks(ctx, c.DataDir); err != nil {
			return boot, err
		}
		if err := n.refuseOld(ctx, c.DataDir); err != nil {
			return boot, err
		}
		return n.countStart(ctx)
	}
	if _, err := os.Stat(file); err == nil {
		return boot, fmt.Errorf("%s has a %s, so its messages belong to SQLite; set database.engine = \"sqlite\", or begin with an empty data_dir",
			c.DataDir, databaseFile)
	}
	url, err := databaseURL(c.Database)
	if err != nil {
		return boot, err
	}
	if n.db, err = db.OpenPostgres(ctx, url, opt); err != nil {
		return boot, fmt.Errorf("open the database: %w", err)
	}
	if whose != "" { // with packs and without, the database has been here before
		if err := n.refuseEmpty(ctx, c.DataDir, whose); err != nil {
			return boot, err
		}
		id, err := n.db.Installation(ctx)
		if err == nil && id == whose {
			err = n.refuseOld(ctx, c.DataDir)
		}
		if err != nil {
			return boot, err
		}
	}
	if boot, err = n.countStart(ctx); err != nil {
		return boot, err
	}
	if whose == boot.Installation {
		return boot, n.refusePacks(ctx, c.DataDir)
	}
	used := false
	if err := n.db.Read(ctx, func(tx *db.Tx) error {
		used, err = tx.QueryRow("SELECT pack FROM pack LIMIT 1").Scan(new(int64))
		return err
	}); err != nil {
		return boot, err
	}
	if whose != "" || used {
		return boot, fmt.Errorf("the database is of installation %s, and %s is not its data_dir; give each the one it belongs to",
			boot.Installation, c.DataDir)
	}
	return boot, writeMark(mark, boot.Installation)
}

// ErrNoDatabase says that there are messages and no database that knows them.
var ErrNoDatabase = errors.New(databaseFile + " is missing")

// refuseLostDatabase refuses a data directory with packs and without a database: a start would make an empty one, and mail
// would go into it as if nothing had been lost.
func refuseLostDatabase(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, rebuiltFile)); err == nil {
		return fmt.Errorf("%s: a rebuild of the database was cut off at its end; `postrider check --rebuild` finishes it", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, databaseFile)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	packs, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	if err != nil || len(packs) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w, and there are %d packs of messages: put back a backup of it; without one, "+
		"`postrider check --rebuild` makes it anew out of the packs; or move the packs away to begin anew", dir, ErrNoDatabase, len(packs))
}

// refuseEmpty refuses a database that no installation has, beside packs: they had another one, which is lost.
func (n *Node) refuseEmpty(ctx context.Context, dir, whose string) error {
	id, err := n.db.Installation(ctx)
	if err != nil || id != "" {
		return err
	}
	packs, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	if err != nil || len(packs) == 0 && whose == "" {
		return err
	}
	return fmt.Errorf("%s: the database is empty, and here are %d packs of messages of another one (%w): put back a backup of it; "+
		"without one, `postrider check --rebuild` makes it anew out of the packs", dir, len(packs), ErrNoDatabase)
}

// refusePacks refuses to begin where database and packs are of two installations. It looks at the oldest and the newest
// pack; `postrider check` looks at all.
func (n *Node) refusePacks(ctx context.Context, dir string) (err error) {
	if err := n.refuseEmpty(ctx, dir, ""); err != nil {
		return err
	}
	id, err := n.db.Installation(ctx)
	if err != nil || id == "" {
		return err
	}
	reader := blob.NewReader(vfs.OS{}, filepath.Join(dir, "packs"))
	defer func() { err = errors.Join(err, reader.Close()) }()
	packs, err := reader.Packs()
	if err != nil || len(packs) == 0 {
		return err
	}
	for _, p := range []int64{packs[0], packs[len(packs)-1]} {
		h, err := reader.Head(p)
		if err != nil {
			continue // damage is the replay's and the check's business
		}
		if h.Owner != (blob.Installation{}) && h.Owner != installationOf(id) {
			return fmt.Errorf("pack %d in %s was written by another installation (%x…) than the database's (%s): "+
				"the database or the packs come from another system; give each the one it belongs to", p, dir, h.Owner[:4], id)
		}
	}
	return nil
}

// clockSlow is how far the clock may be behind the last run before that is worth a word.
const clockSlow = time.Minute

// warnClock says so when the clock is behind what the state has seen. Nothing is lost by it: ids have the number of the
// start in them, UIDVALIDITY and modification sequences never go back, and what is kept for a time is kept longer.
func (n *Node) warnClock(ctx context.Context) error {
	_, seen, err := n.db.LastBoot(ctx, nodeNumber)
	if err != nil {
		return err
	}
	var made int64
	if err := n.db.Read(ctx, func(tx *db.Tx) error {
		_, err := tx.QueryRow("SELECT created FROM pack ORDER BY pack DESC LIMIT 1").Scan(&made)
		return err
	}); err != nil {
		return err
	}
	if last, now := time.UnixMicro(max(seen, made, writtenIn().UnixMicro())), n.opt.Now(); last.Sub(now) > clockSlow {
		n.log.Error("the clock was set back, or is wrong: mail is dated wrongly until it is right; what is kept for a time is kept longer; "+
			"certificates of others are refused where theirs is checked",
			"clock", now.UTC().Format(time.RFC3339), "at_least", last.UTC().Format(time.RFC3339))
	}
	return nil
}

func (n *Node) countStart(ctx context.Context) (db.Boot, error) {
	if err := n.warnClock(ctx); err != nil {
		return db.Boot{}, err
	}
	boot, err := n.db.NextBoot(ctx, nodeNumber)
	if err != nil {
		return boot, fmt.Errorf("count this start: %w", err)
	}
	return boot, nil
}

// databaseURL is the configured URL, or the first line of the file that has it.
func databaseURL(d config.Database) (string, error) {
	if d.URLFile == "" {
		return d.URL, nil
	}
	f, err := os.Open(d.URLFile)
	if err != nil {
		return "", fmt.Errorf("database.url_file: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxURLFile))
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("database.url_file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("database.url_file: the first line of %s is empty; it wants the URL", d.URLFile)
	}
	return line, nil
}

// readMark returns "" where there is no mark.
func readMark(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// writeMark writes the mark so that it is there whole or not at all.
func writeMark(path, installation string) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(installation + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
