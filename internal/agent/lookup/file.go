package lookup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/decide/table"
)

// interval is how often a file is looked at. One that changed is read at the next look that finds it as the last one did, or
// that finds it to be two intervals old.
const interval = time.Second

// maxFile bounds the text of a table, bytes.
const maxFile = 1 << 30

type parseFunc func(text string) (table.Table, []table.Problem, error)

// parser returns what reads the text of a table of a type; nil for types that are no files.
func (o *Opener) parser(kind, path string, aliases bool) parseFunc {
	switch kind {
	case "pgsql", "mysql", "sqlite", "ldap", "memcache", "redis":
		return o.database(kind, path)
	case "hash", "btree", "lmdb", "cdb", "dbm", "texthash":
		if aliases {
			return func(text string) (table.Table, []table.Problem, error) { return table.Aliases(text) }
		}
		return func(text string) (table.Table, []table.Problem, error) { return table.Text(text) }
	case "regexp":
		return patterns(table.Regexp)
	case "pcre":
		return patterns(table.PCRE)
	case "cidr":
		return patterns(table.CIDR)
	}
	return nil
}

func patterns(parse func(string) (*table.Patterns, []table.Problem)) parseFunc {
	return func(text string) (table.Table, []table.Problem, error) {
		t, bad := parse(text)
		return t, bad, nil
	}
}

// File is a table that is a file. Its methods may be called by many at once.
type File struct {
	opener *Opener
	path   string
	parse  parseFunc

	now  atomic.Pointer[content]
	next atomic.Int64 // nanoseconds since 1970: no look before

	mu      sync.Mutex // held by the one who looks
	pending stamp      // seen at the last look, not read yet
	failed  stamp      // could not be read; not tried again until it changes
}

type content struct {
	table.Table
	stamp stamp
	bad   []table.Problem
}

// stamp tells one state of a file from another.
type stamp struct {
	size     int64
	modified time.Time
	missing  bool
}

func (o *Opener) file(path string, parse parseFunc) (*File, error) {
	f := &File{opener: o, path: path, parse: parse}
	at, err := look(path)
	if err != nil {
		return nil, err
	}
	c, err := f.read(at)
	if err != nil {
		return nil, err
	}
	f.now.Store(c)
	f.pending = at
	f.next.Store(o.Now().Add(interval).UnixNano())
	f.report(c)
	return f, nil
}

// Problems are the lines that could not be used when the file was last read.
func (f *File) Problems() []table.Problem { return f.now.Load().bad }

// Path is the file's.
func (f *File) Path() string { return f.path }

// Pattern implements table.Table.
func (f *File) Pattern() bool { return f.now.Load().Pattern() }

// Lookup implements table.Table. It never fails: what was read last is asked.
func (f *File) Lookup(ctx context.Context, key string) (string, bool, error) {
	if now := f.opener.Now(); now.UnixNano() >= f.next.Load() && f.mu.TryLock() {
		f.refresh(now)
		f.next.Store(now.Add(interval).UnixNano())
		f.mu.Unlock()
	}
	return f.now.Load().Lookup(ctx, key)
}

// All calls yield for every entry of a table of fixed strings, in the order of the text; false for a table of patterns.
func (f *File) All(yield func(key, value string) bool) bool {
	t, ok := f.now.Load().Table.(*table.Fixed)
	if ok {
		t.All(yield)
	}
	return ok
}

// refresh reads the file anew if it has changed and then been left alone: from one look to the next, or, where the last look
// was long ago, by its date. Else the first question after a quiet night would be answered with what stood there before.
func (f *File) refresh(now time.Time) {
	at, err := look(f.path)
	if err != nil {
		at = stamp{missing: true}
	}
	settled := at == f.pending || !at.missing && now.Sub(at.modified) >= 2*interval
	f.pending = at
	if !settled || at == f.now.Load().stamp || at == f.failed {
		return
	}
	if err == nil {
		if err = f.replace(at); err == nil {
			return
		}
	}
	f.failed = at
	f.opener.Log.Warn("lookup table cannot be read; it stays as it was", "table", f.path, "error", err)
}

// replace reads the file and puts it in force.
func (f *File) replace(at stamp) error {
	c, err := f.read(at)
	if err != nil {
		return err
	}
	old := f.now.Swap(c)
	if closer, ok := old.Table.(io.Closer); ok {
		_ = closer.Close() // of idle connections; those in use end with their questions
	}
	f.report(c)
	return nil
}

// again reads the file at once if it has changed, however short a time ago: a configuration that names it is being put in
// force. After an error what was read last stays.
func (f *File) again() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := look(f.path)
	if err != nil || at == f.now.Load().stamp {
		return err
	}
	return f.replace(at)
}

func look(path string) (stamp, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		for _, suffix := range []string{".db", ".cdb", ".lmdb"} {
			if _, has := os.Stat(path + suffix); has == nil {
				return stamp{}, fmt.Errorf("%w; %s is there, but the text is what is read: postmap -s on the old system writes it", err, path+suffix)
			}
		}
	}
	switch {
	case err != nil:
		return stamp{}, err
	case !info.Mode().IsRegular():
		return stamp{}, fmt.Errorf("%s is no regular file", path)
	case info.Size() > maxFile:
		return stamp{}, fmt.Errorf("%s is larger than 1 GiB; keep it in a database", path)
	}
	return stamp{size: info.Size(), modified: info.ModTime()}, nil
}

func (f *File) read(at stamp) (*content, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(text[:min(len(text), 512)], 0) >= 0 {
		return nil, fmt.Errorf("%s is no text: name the file that was compiled, without .db, .cdb or .lmdb", f.path)
	}
	t, bad, err := f.parse(string(text))
	if err != nil {
		return nil, located(f.path, err)
	}
	return &content{Table: t, stamp: at, bad: bad}, nil
}

// located says in which file each of several errors is.
func located(path string, err error) error {
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s: %w", path, err)
	}
	var errs []error
	for _, one := range all.Unwrap() {
		errs = append(errs, fmt.Errorf("%s: %w", path, one))
	}
	return errors.Join(errs...)
}

// maxReported bounds the lines of one file that the log names.
const maxReported = 20

func (f *File) report(c *content) {
	for i, p := range c.bad {
		if i == maxReported {
			f.opener.Log.Warn("lookup table: and more", "table", f.path, "lines", len(c.bad)-i)
			return
		}
		f.opener.Log.Warn("lookup table: a line cannot be used", "table", f.path, "line", p.Line, "reason", p.Text)
	}
}
