package db

import (
	"fmt"
	"path/filepath"

	"zombiezen.com/go/sqlite"
)

// applicationID marks our files (PRAGMA application_id): "Post".
const applicationID = 0x506f7374

// Settings, from BenchmarkDelivery on two shared cores (50 sessions, 40,000 deliveries, CPU a write): 86 and 106 µs with
// pages of 4 KiB, 110 and 124 µs with 8 KiB, 109 and 133 µs with 16 KiB; at one session 257 to 326, 310 to 450, 413 to
// 492 µs. A cache of 32 MiB gains nothing over 16. No mmap: an I/O error would come as SIGBUS instead of an answer.
const (
	pageSize       = 4096
	writerCacheKiB = 16 << 10
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
