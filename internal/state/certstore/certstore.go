// Package certstore keeps what ACME needs to remember (account keys, certificates with their keys, challenges under way)
// in the database, in the form that certmagic asks for: files by slash-separated names, and locks by name.
//
// A lock is a row with an owner and an end. Its holder moves the end forward while it works; a lock whose end is over is
// nobody's, so that a process that died holds up the others for leaseTime and no longer. Two processes, or two goroutines
// of one, never hold the same name at once as long as their clocks agree to within leaseTime.
//
// It never touches the file system and knows nothing of certificates. What is not there is fs.ErrNotExist; a name or
// value beyond the limits is refused; all other errors are the database's.
//
//	certstore.go  Store: the items
//	lock.go       the locks
package certstore

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/postrider/postrider/internal/state/db"
)

// Limits of an item, in bytes: what comes from an authority is stored here.
const (
	maxName  = 1024
	maxValue = 1 << 20
)

// Options of a Store.
type Options struct {
	DB  *db.DB
	Now func() time.Time // nil: time.Now
}

// Store is a certmagic.Storage. It is safe for concurrent use.
type Store struct {
	db  *db.DB
	now func() time.Time

	mu     sync.Mutex       // guards all below
	held   map[string]*held // by name
	closed bool
	group  sync.WaitGroup // of the goroutines that keep locks
}

var _ certmagic.Storage = (*Store)(nil)

// New makes a Store. Close it before the database.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{db: o.DB, now: o.Now, held: map[string]*held{}}
}

// Store implements certmagic.Storage.
func (s *Store) Store(ctx context.Context, name string, value []byte) error {
	if err := check(name); err != nil {
		return err
	}
	if len(value) > maxValue {
		return fmt.Errorf("certstore: %s: %d bytes are more than %d", name, len(value), maxValue)
	}
	if value == nil {
		value = []byte{}
	}
	now := s.now().UnixMicro()
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO certificate_item (name, value, modified) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, modified = excluded.modified`, name, value, now)
		return err
	})
}

// Load implements certmagic.Storage.
func (s *Store) Load(ctx context.Context, name string) (value []byte, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		found, err := tx.QueryRow("SELECT value FROM certificate_item WHERE name = ?", name).Scan(&value)
		return orMissing(found, name, err)
	})
	return value, err
}

// Delete implements certmagic.Storage: an item, or all below a name.
func (s *Store) Delete(ctx context.Context, name string) error {
	low, high := below(name)
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM certificate_item WHERE name = ?", name); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM certificate_item WHERE name >= ? AND name < ?", low, high)
		return err
	})
}

// Exists implements certmagic.Storage. An error of the database counts as absence: the interface has no other word.
func (s *Store) Exists(ctx context.Context, name string) bool {
	_, err := s.Stat(ctx, name)
	return err == nil
}

// List implements certmagic.Storage: what is directly below a name or, recursive, everything below it, folders too.
func (s *Store) List(ctx context.Context, name string, recursive bool) (names []string, err error) {
	low, high := below(name)
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		names = nil
		rows := tx.Query("SELECT name FROM certificate_item WHERE name >= ? AND name < ? ORDER BY name", low, high)
		for rows.Next() {
			names = append(names, within(low, rows.Text(0), recursive)...)
		}
		return orMissing(len(names) > 0, name, rows.Err())
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// within returns an item and the folders between it and prefix; not recursive, only the outermost of these.
func within(prefix, item string, recursive bool) []string {
	var names []string
	parts := strings.Split(strings.TrimPrefix(item, prefix), "/")
	for i := range parts {
		names = append(names, prefix+path.Join(parts[:i+1]...))
		if !recursive {
			break
		}
	}
	return names
}

// Stat implements certmagic.Storage. A folder was modified when the latest item below it was.
func (s *Store) Stat(ctx context.Context, name string) (info certmagic.KeyInfo, err error) {
	low, high := below(name)
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var modified, size int64
		found, err := tx.QueryRow("SELECT modified, LENGTH(value) FROM certificate_item WHERE name = ?", name).Scan(&modified, &size)
		if err != nil {
			return err
		}
		info = certmagic.KeyInfo{Key: name, Modified: time.UnixMicro(modified), Size: size, IsTerminal: found}
		if found {
			return nil
		}
		var items int64
		_, err = tx.QueryRow("SELECT COUNT(*), COALESCE(MAX(modified), 0) FROM certificate_item WHERE name >= ? AND name < ?", low, high).
			Scan(&items, &modified)
		info.Modified = time.UnixMicro(modified)
		return orMissing(items > 0, name, err)
	})
	return info, err
}

// below is the range of all names below one: those that begin with it and a slash.
func below(name string) (low, high string) {
	if name == "" {
		return "", "\U0010FFFF"
	}
	return name + "/", name + "0" // the character after the slash
}

func check(name string) error {
	if name == "" || len(name) > maxName || path.Clean(name) != name || name[0] == '/' {
		return fmt.Errorf("certstore: %q is no name of an item", name)
	}
	return nil
}

func orMissing(found bool, name string, err error) error {
	if err == nil && !found {
		err = fmt.Errorf("certstore: %s: %w", name, fs.ErrNotExist)
	}
	return err
}
