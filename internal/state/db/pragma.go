package db

import (
	"fmt"
	"path/filepath"

	"zombiezen.com/go/sqlite"
)

// applicationID marks our files (PRAGMA application_id): "Post".
const applicationID = 0x506f7374

// Settings chosen by BenchmarkDelivery; the figures are in docs of the benchmark.
const (
	pageSize       = 8192
	writerCacheKiB = 32 << 10
	readerCacheKiB = 4 << 10
)

// role is what a connection is for.
type role int

const (
	roleWriter role = iota
	roleReader
	roleCheckpointer
)

// openConn opens one connection with everything set that holds for the connection.
func (d *DB) openConn(r role) (*sqlite.Conn, error) {
	flags := sqlite.OpenReadWrite
	switch {
	case r == roleWriter:
		flags |= sqlite.OpenCreate
	case r == roleReader && !d.memory:
		flags = sqlite.OpenReadOnly
	}
	name := d.path
	if d.memory {
		flags |= sqlite.OpenURI
	} else if !filepath.IsAbs(name) && name[0] == '-' {
		name = "./" + name
	}
	conn, err := sqlite.OpenConn(name, flags)
	if err != nil {
		return nil, fmt.Errorf("db: open %s: %w", d.path, err)
	}
	// Only our own connections ever compete, and only for moments; a stranger's lock must not hang the server for ever.
	conn.SetBusyTimeout(busyTimeout)
	for _, p := range d.pragmas(r) {
		if _, err := pragma(conn, p); err != nil {
			return nil, fmt.Errorf("db: open %s: %s: %w", d.path, p, closing(conn, err))
		}
	}
	return conn, nil
}

// pragmas lists the settings of a connection in the order in which they are made.
func (d *DB) pragmas(r role) []string {
	list := []string{"trusted_schema=OFF", "foreign_keys=ON", "temp_store=MEMORY", "mmap_size=0"}
	switch r {
	case roleWriter:
		list = append(list, fmt.Sprintf("page_size=%d", d.opt.pageSize)) // before the first table
		if d.memory {
			list = append(list, "journal_mode=MEMORY")
		} else {
			list = append(list, "journal_mode=WAL")
		}
		list = append(list, fmt.Sprintf("cache_size=-%d", d.opt.cacheKiB))
		if d.opt.maxPages > 0 {
			list = append(list, fmt.Sprintf("max_page_count=%d", d.opt.maxPages))
		}
	case roleReader:
		list = append(list, fmt.Sprintf("cache_size=-%d", readerCacheKiB), "query_only=ON")
	}
	if !d.memory {
		list = append(list, "wal_autocheckpoint=0", "synchronous="+d.opt.Sync.synchronous(),
			// What is left of the log's file when it starts over after a burst.
			fmt.Sprintf("journal_size_limit=%d", d.opt.CheckpointBytes))
	}
	return list
}

// pragma runs one PRAGMA and returns the integers of its first row (text columns read as 0).
func pragma(conn *sqlite.Conn, p string) ([3]int64, error) {
	var out [3]int64
	stmt, _, err := conn.PrepareTransient("PRAGMA " + p)
	if err != nil {
		return out, err
	}
	row, err := stmt.Step()
	if err == nil && row {
		for i := 0; i < min(3, stmt.ColumnCount()); i++ {
			out[i] = stmt.ColumnInt64(i)
		}
	}
	if ferr := stmt.Finalize(); err == nil {
		err = ferr
	}
	return out, err
}

// closing closes a connection that is of no use because of err.
func closing(conn *sqlite.Conn, err error) error {
	if cerr := conn.Close(); cerr != nil {
		return fmt.Errorf("%w (and close: %w)", err, cerr)
	}
	return err
}
