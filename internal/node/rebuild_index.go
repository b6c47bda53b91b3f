package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/mailstore"
)

// recordIndex has the places of all sound records by their ids, and so by time: packs are written side by side, and
// compaction copies old records into new packs. It is a file, for a store has more records than memory takes, and is of no
// use after the rebuild.
type recordIndex struct {
	path   string
	db     *db.DB
	newest int64 // time in the ids, microseconds
	batch  []indexed
}

// indexed is a record's place.
type indexed struct {
	id  queueid.ID
	ref recipe.BlobRef
}

const indexBatch = 1000

func newRecordIndex(ctx context.Context, path string) (*recordIndex, error) {
	x := &recordIndex{path: path}
	if err := x.remove(); err != nil {
		return nil, err
	}
	var err error
	if x.db, err = db.Open(ctx, path, db.Options{Sync: db.SyncNormal}); err != nil {
		return nil, err
	}
	for _, sql := range []string{
		"CREATE TABLE record (id BLOB NOT NULL, pack INTEGER NOT NULL, place INTEGER NOT NULL, length INTEGER NOT NULL, PRIMARY KEY (id, pack, place)) WITHOUT ROWID",
		"CREATE TABLE email (account INTEGER NOT NULL, pack INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (account, pack, place)) WITHOUT ROWID",
		"CREATE TABLE lost (account INTEGER NOT NULL, received INTEGER NOT NULL, length INTEGER NOT NULL, email INTEGER NOT NULL, PRIMARY KEY (account, received, length, email)) WITHOUT ROWID",
	} {
		if err := x.db.Write(ctx, func(tx *db.Tx) error { _, err := tx.Exec(sql); return err }); err != nil {
			return nil, errors.Join(err, x.close())
		}
	}
	return x, nil
}

// close removes the index.
func (x *recordIndex) close() error { return errors.Join(x.db.Close(), x.remove()) }

func (x *recordIndex) remove() error {
	for _, tail := range sqliteFiles {
		if err := os.Remove(x.path + tail); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// add notes a record; flush must follow the last.
func (x *recordIndex) add(ctx context.Context, r blob.Record) error {
	x.newest = max(x.newest, r.ID.Micros())
	if x.batch = append(x.batch, indexed{r.ID, r.Ref}); len(x.batch) < indexBatch {
		return nil
	}
	return x.flush(ctx)
}

func (x *recordIndex) flush(ctx context.Context) error {
	err := x.db.Write(ctx, func(tx *db.Tx) error {
		for i := range x.batch {
			r := &x.batch[i]
			if _, err := tx.Exec("INSERT INTO record (id, pack, place, length) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
				r.id[:], r.ref.Pack, r.ref.Offset, r.ref.Length); err != nil {
				return err
			}
		}
		return nil
	})
	x.batch = x.batch[:0]
	return err
}

// emails notes emails that are there already; those whose pack is not, by what a copy of their record is known by.
func (x *recordIndex) emails(ctx context.Context, list []mailstore.EmailPlace, there map[int64]bool) error {
	return x.db.Write(ctx, func(tx *db.Tx) (err error) {
		for _, e := range list {
			if there[e.Pack] {
				_, err = tx.Exec("INSERT INTO email (account, pack, place) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", e.Account, e.Pack, e.Place)
			} else {
				_, err = tx.Exec("INSERT INTO lost (account, received, length, email) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
					e.Account, e.Received/1e6, e.Length, e.Email) // an APPEND's record has seconds
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// lostEmails lists an account's emails whose pack is not there, of a time and a length.
func (x *recordIndex) lostEmails(ctx context.Context, account, received, length int64) (list []int64, err error) {
	err = x.db.Read(ctx, func(tx *db.Tx) error {
		list = nil
		rows := tx.Query("SELECT email FROM lost WHERE account = ? AND received = ? AND length = ?", account, received, length)
		for rows.Next() {
			list = append(list, rows.Int64(0))
		}
		return rows.Err()
	})
	return list, err
}

// hasEmail tells whether an account has an email that leads to one of a record's copies.
func (x *recordIndex) hasEmail(ctx context.Context, account int64, copies []recipe.BlobRef) (found bool, err error) {
	err = x.db.Read(ctx, func(tx *db.Tx) error {
		var one int64
		for _, c := range copies {
			if found, err = tx.QueryRow("SELECT 1 FROM email WHERE account = ? AND pack = ? AND place = ?", account, c.Pack, c.Offset).Scan(&one); err != nil || found {
				return err
			}
		}
		return nil
	})
	return found, err
}

func (x *recordIndex) count(ctx context.Context) (n int64, err error) {
	err = x.db.Read(ctx, func(tx *db.Tx) error {
		_, err := tx.QueryRow("SELECT COUNT(*) FROM record").Scan(&n)
		return err
	})
	return n, err
}

// each calls fn for every id in the order of time, with its copies, that of the highest pack first.
func (x *recordIndex) each(ctx context.Context, fn func(id queueid.ID, copies []recipe.BlobRef) error) error {
	last := indexed{ref: recipe.BlobRef{Pack: -1}}
	var pending []indexed
	give := func() error {
		if len(pending) == 0 {
			return nil
		}
		var copies []recipe.BlobRef
		for i := len(pending) - 1; i >= 0; i-- {
			copies = append(copies, pending[i].ref)
		}
		id := pending[0].id
		pending = pending[:0]
		return fn(id, copies)
	}
	for {
		var list []indexed
		err := x.db.Read(ctx, func(tx *db.Tx) error {
			list = nil
			rows := tx.Query("SELECT id, pack, place, length FROM record WHERE (id, pack, place) > (?, ?, ?) ORDER BY id, pack, place LIMIT ?",
				last.id[:], last.ref.Pack, last.ref.Offset, indexBatch)
			for rows.Next() {
				r := indexed{ref: recipe.BlobRef{Pack: rows.Int64(1), Offset: rows.Int64(2), Length: rows.Int64(3)}}
				copy(r.id[:], rows.Bytes(0))
				list = append(list, r)
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		for _, r := range list {
			if len(pending) > 0 && pending[0].id != r.id {
				if err := give(); err != nil {
					return err
				}
			}
			pending, last = append(pending, r), r
		}
		if len(list) < indexBatch {
			return give()
		}
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// readPacks notes every record, brings the packs into the catalog, and learns whose mail it is.
func (r *rebuilder) readPacks(ctx context.Context) error {
	for _, h := range r.heads {
		r.total += h.Size
	}
	for _, h := range r.heads {
		before := r.done
		_, err := r.reader.Scan(ctx, h.Pack, 0, blob.Visitor{
			Record: func(rec blob.Record) error {
				r.done = before + rec.End
				r.sum.Records, r.sum.Bytes = r.sum.Records+1, r.sum.Bytes+rec.End-rec.Ref.Offset
				r.meet(rec)
				return errors.Join(r.index.add(ctx, rec), r.pause(ctx))
			},
			Damage: func(d blob.Damage) error { return r.lost(d) },
		})
		if f := packFault(h.Pack, err); f != nil {
			continue // the check names it afterwards
		}
		if err != nil {
			return fmt.Errorf("pack %d: %w", h.Pack, err)
		}
		r.whole = append(r.whole, h)
		r.done = before + h.Size
	}
	return r.index.flush(ctx)
}

// knowPacks brings the packs into the catalog, with nothing to replay: what is in them has been put where it belongs.
func (r *rebuilder) knowPacks(ctx context.Context) error {
	for _, h := range r.whole {
		if err := r.catalog.Restore(ctx, h); err != nil {
			return fmt.Errorf("pack %d: %w", h.Pack, err)
		}
	}
	return nil
}

// lost names a damaged stretch of a pack: nothing else leads to what was in it.
func (r *rebuilder) lost(d blob.Damage) error {
	f := damageFault(d)
	if errors.Is(d.Err, blob.ErrUnsupported) {
		return fmt.Errorf("pack %d, record at %d: %w: a rebuild without it would lose its message; install that version", d.Pack, d.From, d.Err)
	}
	f.Text += "; its message cannot be put back"
	f.Mended = "left where it is"
	return r.report(f)
}
