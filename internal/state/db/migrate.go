package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// migration is one numbered file of the schema.
type migration struct {
	version int64
	name    string // file name
}

const sqlSchemaTable = `CREATE TABLE IF NOT EXISTS schema_migration (
  version BIGINT NOT NULL PRIMARY KEY,
  name    TEXT   NOT NULL,
  applied BIGINT NOT NULL
)`

const sqlApplied = "SELECT version, name FROM schema_migration ORDER BY version"

// migrate brings the schema up to date, on the writer's connection before anything else uses it. The write lock of the
// database is held for each step, so two processes cannot do it at once.
func (d *DB) migrate(ctx context.Context) error {
	list, err := migrations(d.opt.Schema)
	if err != nil {
		return err
	}
	if err := d.claimFile(); err != nil {
		return err
	}
	if err := run(d.writer, sqlSchemaTable); err != nil {
		return d.wrap("schema", err)
	}
	applied, err := d.applied(list)
	if err != nil {
		return err
	}
	return d.applyAll(ctx, list, applied, d.apply)
}

// applyAll runs the migrations of the list that come after a version.
func (d *DB) applyAll(ctx context.Context, list []migration, after int64, apply func(migration) error) error {
	for _, m := range list {
		if m.version <= after {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := apply(m); err != nil {
			return fmt.Errorf("db: migration %s: %w", m.name, err)
		}
		d.log.Debug("schema migrated", "migration", m.name)
	}
	return nil
}

// claimFile marks a new file as ours and refuses a stranger's.
func (d *DB) claimFile() error {
	id, err := pragma(d.writer, "application_id")
	if err != nil {
		return d.wrap("application_id", err)
	}
	if id[0] == applicationID {
		return nil
	}
	tables, err := pragma(d.writer, "schema_version") // 0 in a file without any table
	if err != nil {
		return d.wrap("schema_version", err)
	}
	if id[0] != 0 || tables[0] != 0 {
		return fmt.Errorf("db: %s: %w (application id %#x)", d.path, ErrForeign, id[0])
	}
	_, err = pragma(d.writer, fmt.Sprintf("application_id=%d", applicationID))
	return d.wrap("application_id", err)
}

// applied returns the version of the database, and refuses one that does not fit the list.
func (d *DB) applied(list []migration) (int64, error) {
	var have []migration
	err := sqlitex.ExecuteTransient(d.writer, sqlApplied, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		have = append(have, migration{stmt.ColumnInt64(0), stmt.ColumnText(1)})
		return nil
	}})
	if err != nil {
		return 0, fmt.Errorf("db: %s: %w", d.path, err)
	}
	return d.fitting(have, list)
}

// fitting returns the version of a database that has these migrations, and refuses one that does not fit the list.
func (d *DB) fitting(have, list []migration) (int64, error) {
	known := make(map[int64]string, len(list))
	for _, m := range list {
		known[m.version] = m.name
	}
	version := int64(-1)
	seen := make(map[int64]bool)
	for _, h := range have {
		if len(list) == 0 || h.version > list[len(list)-1].version {
			return 0, fmt.Errorf("db: %s: %w: its schema has %s, this program ends before it; install the newer version again",
				d.path, ErrFutureSchema, h.name)
		}
		if known[h.version] != h.name {
			return 0, fmt.Errorf("db: %s: %w: its schema has %s where this program has %q", d.path, ErrForeign, h.name, known[h.version])
		}
		version, seen[h.version] = h.version, true
	}
	for _, m := range list {
		if m.version < version && !seen[m.version] {
			return 0, fmt.Errorf("db: %s: schema is at %d but lacks %s; migrations run forward only", d.path, version, m.name)
		}
	}
	return version, nil
}

// apply runs one migration in one transaction.
func (d *DB) apply(m migration) (err error) {
	text, err := fs.ReadFile(d.opt.Schema, m.name)
	if err != nil {
		return err
	}
	if err := run(d.writer, sqlBeginImmediate); err != nil {
		return d.wrap("begin", err)
	}
	defer func() {
		if err != nil && !d.writer.AutocommitEnabled() {
			err = errors.Join(err, run(d.writer, sqlRollback))
		}
	}()
	for rest := skipComments(string(text)); rest != ""; rest = skipComments(rest) {
		stmt, trailing, err := d.writer.PrepareTransient(rest)
		if err != nil {
			return d.wrap("statement", err)
		}
		rest = rest[len(rest)-trailing:]
		if stmt.BindParamCount() > 0 {
			return errors.Join(errors.New("a migration has no parameters"), stmt.Finalize())
		}
		_, err = stmt.Step()
		if err = errors.Join(err, stmt.Finalize()); err != nil {
			return d.wrap("statement", err)
		}
	}
	err = sqlitex.ExecuteTransient(d.writer, "INSERT INTO schema_migration (version, name, applied) VALUES (?, ?, ?)",
		&sqlitex.ExecOptions{Args: []any{m.version, m.name, d.opt.Now().UnixMicro()}})
	if err != nil {
		return d.wrap("schema version", err)
	}
	return d.wrap("commit", run(d.writer, sqlCommit))
}

// skipComments returns s from its next statement on.
func skipComments(s string) string {
	for {
		s = strings.TrimLeft(s, " \t\r\n;")
		if !strings.HasPrefix(s, "--") {
			return s
		}
		_, s, _ = strings.Cut(s, "\n")
	}
}

// migrations lists the files NNNN_name.sql of the schema in order.
func migrations(schema fs.FS) ([]migration, error) {
	if schema == nil {
		return nil, nil
	}
	names, err := fs.Glob(schema, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("db: schema: %w", err)
	}
	var list []migration
	for _, name := range names {
		number, _, ok := strings.Cut(name, "_")
		v, err := strconv.ParseInt(number, 10, 32)
		if !ok || err != nil || len(number) != 4 {
			return nil, fmt.Errorf("db: schema: %s is not named NNNN_name.sql", name)
		}
		list = append(list, migration{v, name})
	}
	slices.SortFunc(list, func(a, b migration) int { return int(a.version - b.version) })
	for i := 1; i < len(list); i++ {
		if list[i].version == list[i-1].version {
			return nil, fmt.Errorf("db: schema: %s and %s have the same number", list[i-1].name, list[i].name)
		}
	}
	return list, nil
}
