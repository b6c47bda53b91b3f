package db

import (
	"time"

	"zombiezen.com/go/sqlite"
)

// WithMaxPages makes the database full at n pages.
func WithMaxPages(o Options, n int64) Options { o.maxPages = n; return o }

// ForWriter runs a PRAGMA on the writer's connection and returns its first column.
func (d *DB) ForWriter(p string) (int64, error) {
	d.commitMu.Lock()
	defer d.commitMu.Unlock()
	out, err := pragma(d.writer, p)
	return out[0], err
}

// WithTuning sets page and cache size.
func WithTuning(o Options, page int64, cacheKiB int) Options {
	o.pageSize, o.cacheKiB = page, cacheKiB
	return o
}

// Hasty makes a DB on PostgreSQL try again without a pause.
func (d *DB) Hasty() { d.pg.pause = func(time.Duration) {} }

// CountSelects counts in n how often the writer's connection compiles a SELECT.
func (d *DB) CountSelects(n *int) error {
	return d.writer.SetAuthorizer(sqlite.AuthorizeFunc(func(a sqlite.Action) sqlite.AuthResult {
		if a.Type() == sqlite.OpSelect {
			*n++
		}
		return sqlite.AuthResultOK
	}))
}
