package sqltab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
	"github.com/postrider/postrider/internal/decide/table"
	"zombiezen.com/go/sqlite"
)

// SQLite reads a file of sqlite_table(5); a relative dbpath begins at dir.
func SQLite(text, dir string, env mapconf.Env) (*Table, []table.Problem, error) {
	f := mapconf.Parse(text)
	t := common("sqlite", f, env)
	path := f.Required("dbpath")
	if path != "" && !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if info, err := os.Stat(path); path != "" && err != nil {
		f.Wrong("dbpath", "%v", err)
	} else if path != "" && !info.Mode().IsRegular() {
		f.Wrong("dbpath", "%s is no regular file", path)
	}
	t.connections(f, env, []string{path}, func(_ context.Context, path string) (conn, error) { return openSQLite(path) })
	bad, err := f.Done()
	return t, bad, err
}

type sqliteConn struct {
	*sqlite.Conn
	path string
	info fs.FileInfo // of the file when it was opened
}

func openSQLite(path string) (conn, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	c, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.SetBlockOnBusy() // until the context ends
	return sqliteConn{c, path, info}, nil
}

func (c sqliteConn) close() { _ = c.Close() }

func (c sqliteConn) ask(ctx context.Context, query string, add func(string) error) error {
	if now, err := os.Stat(c.path); err != nil || !os.SameFile(now, c.info) {
		return errors.New("the file has been replaced") // the pool opens the new one
	}
	c.SetInterrupt(ctx.Done())
	defer c.SetInterrupt(nil)
	s, _, err := c.PrepareTransient(query) // the first statement; what follows it is left alone
	if err != nil {
		return pool.Answered{Err: err}
	}
	defer func() { _ = s.Finalize() }() // says what Step said
	for {
		more, err := s.Step()
		if err != nil {
			return pool.Answered{Err: err}
		}
		if !more {
			return nil
		}
		if s.ColumnCount() > 0 && !s.ColumnIsNull(0) { // only the first column, sqlite_table(5)
			if err := add(s.ColumnText(0)); err != nil {
				return pool.Answered{Err: err}
			}
		}
	}
}
